"""spin-hub revert."""

from typing import Annotated

import typer

from spin_hub.cli import options as o


def revert(
    edited: Annotated[str, typer.Argument(help="What edit or apply made: a folder, or a Hub id.")],
    output: o.Output = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Write the base again, byte for byte, and prove it by its recorded sha256.

    Examples:

        spin-hub revert my-model-spin -o my-model-again

        spin-hub revert org/name-spin -o name
    """
    from spin_hub.cli.console import Screen
    from spin_hub.recipe import Destination
    from spin_hub.workflows.revert import revert as run

    screen = Screen(as_json, quiet)
    outcome = run(edited, Destination(output, overwrite), screen.reporter)
    data = {
        "output": str(outcome.output),
        "files": outcome.files,
        "weights": outcome.weights,
        "left_out": list(outcome.left_out),
    }
    facts = [
        ("weights", f"{outcome.weights:,} put back"),
        ("proof", f"{outcome.files} files equal the base's recorded sha256"),
        *([("missing", f"{', '.join(outcome.left_out)}: left out of the edited copy")] if outcome.left_out else []),
        ("output", str(outcome.output)),
    ]
    screen.result(data, outcome.output, lambda: screen.facts("", facts))
