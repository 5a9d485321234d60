"""spin-hub push."""

from pathlib import Path
from typing import Annotated

import typer

from spin_hub.cli import options as o
from spin_hub.cli import publishing as pub
from spin_hub.cli.errors import end


def push(
    folder: Annotated[Path, typer.Argument(help="A folder that edit, select or apply wrote.")],
    kind: Annotated[
        o.KindName | None,
        typer.Option("--as", help="delta: of an edited model, the delta alone.", show_default=False),
    ] = None,
    repo_id: pub.RepoId = None,
    private: pub.Private = None,
    create_pr: pub.CreatePr = False,
    branch: pub.Branch = None,
    message: pub.Message = None,
    tag: pub.Tag = None,
    yes: pub.Yes = False,
    no_verify: pub.NoVerify = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Publish an edited model or a delta on the Hub, in one commit.

    Examples:

        spin-hub push my-model-spin

        spin-hub push my-model-spin --as delta

        spin-hub push my-model-spin-delta --repo-id me/my-delta --private
    """
    given = dict(locals())
    options = pub.push_options(given)

    from spin_hub.cli.console import Screen
    from spin_hub.cli.show import show_pushed
    from spin_hub.workflows.push import push as run

    screen = Screen(as_json, quiet)
    outcome = run(folder, options, kind, screen.reporter)
    screen.result(outcome.to_json(), outcome.place, lambda: show_pushed(screen, outcome))
    screen.warn(outcome.warnings)
    end(outcome.verification)
