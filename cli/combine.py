"""spin-hub combine."""

from typing import Annotated, Literal

import typer

from spin_hub.cli import options as o


def combine(
    a: o.FirstDelta,
    b: o.SecondDelta,
    how: Annotated[
        Literal["and", "or", "sub"],
        typer.Option("--how", help="The weights of both (and), of either (or), of A but not of B (sub)."),
    ],
    output: o.Output = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Combine two deltas of one base into a third.

    Examples:

        spin-hub combine my-delta other-delta --how and -o shared

        spin-hub combine org/name-spin-delta my-delta --how sub -o only-theirs
    """
    from spin_hub.cli.console import Screen
    from spin_hub.cli.show import show_edit
    from spin_hub.recipe import Destination
    from spin_hub.workflows.combine import combine as run

    screen = Screen(as_json, quiet)
    outcome = run(a, b, how, Destination(output, overwrite), screen.reporter)
    screen.result(outcome.to_json(), outcome.output, lambda: show_edit(screen, outcome))
