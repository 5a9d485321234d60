"""spin-hub verify."""

from typing import Annotated

import typer

from spin_hub.cli import options as o
from spin_hub.cli.errors import end


def verify(
    edited: Annotated[str, typer.Argument(help="An edited model, a delta or an adapter: a folder, or a Hub id.")],
    base: Annotated[str | None, typer.Option(help="The base. Default: the one that the delta names.")] = None,
    delta: Annotated[str | None, typer.Option(help="The delta that must be the edit's own.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Look at headers and touched weights alone.")] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Prove that an edited model is its base with the delta's weights set to zero.

    Every byte counts; --quick reads at most 2 MB of a repo on the Hub. What
    differs is shown as a table, and the exit code is 3.

    Examples:

        spin-hub verify my-model-spin --base ./my-model

        spin-hub verify org/name-spin

        spin-hub verify org/name-spin --delta org/name-spin-delta --quick
    """
    from spin_hub.cli.console import Screen
    from spin_hub.cli.show_verification import show_verification
    from spin_hub.workflows.verify import VerifyOptions
    from spin_hub.workflows.verify import verify as run

    screen = Screen(as_json, quiet)
    found = run(edited, VerifyOptions(base, delta, quick), screen.reporter)
    screen.result(found.to_json(), edited, lambda: show_verification(screen, found))
    end(found)
