"""spin-hub apply."""

from pathlib import Path
from typing import Annotated

import typer

from spin_hub.cli import options as o


def apply(
    delta: Annotated[Path, typer.Argument(help="A delta file, a delta folder, or an edited model.")],
    model: o.Model,
    output: o.Output = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Write a copy of the base with a delta's weights set to zero.

    Examples:

        spin-hub apply my-delta ./my-model -o my-model-spin

        spin-hub apply spin_delta.safetensors org/name@revision
    """
    from spin_hub.cli.console import Screen
    from spin_hub.cli.show import show_edit
    from spin_hub.recipe import Destination
    from spin_hub.workflows.apply import apply as run

    screen = Screen(as_json, quiet)
    outcome = run(delta, model, Destination(output, overwrite), screen.reporter)
    screen.result(outcome.to_json(), outcome.output, lambda: show_edit(screen, outcome))
