"""spin-hub card."""

from pathlib import Path
from typing import Annotated

import typer

from spin_hub.cli import options as o


def card(
    folder: Annotated[Path, typer.Argument(help="An edited model or a delta folder.")],
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Write the README again from the record; text outside the generated part stays.

    Examples:

        spin-hub card my-model-spin
    """
    from spin_hub.cli.console import Screen
    from spin_hub.workflows.card import card as run

    screen = Screen(as_json, quiet)
    path = run(folder)
    screen.result({"output": str(path)}, path, lambda: screen.facts("", [("card", str(path))]))
