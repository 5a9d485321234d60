"""spin-hub inspect."""

from pathlib import Path
from typing import Annotated

import typer

from spin_hub.cli import options as o


def inspect(
    artefact: Annotated[str, typer.Argument(help="A delta, an edited model or a ranking: a path, or a Hub id.")],
    png: Annotated[Path | None, typer.Option("--png", metavar="DIR", help="Write plots there.")] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Show what a delta, an edited model or a ranking holds.

    Examples:

        spin-hub inspect my-model-spin

        spin-hub inspect org/name-spin-delta

        spin-hub inspect ranking.safetensors --png plots
    """
    from spin_hub.cli.console import Screen
    from spin_hub.cli.show import show_counts
    from spin_hub.workflows.inspect import inspect as run

    screen = Screen(as_json, quiet)
    found = run(artefact, png, screen.reporter)

    def show() -> None:
        if found.plots:
            screen.facts("Plots", [(file.stem, str(file)) for file in found.plots])
            screen.line("")
        show_counts(screen, found)
        screen.line("")
        screen.facts("", found.facts.items())

    screen.result(found.data, artefact, show)
