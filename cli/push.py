"""spin-hub push."""

from pathlib import Path
from typing import Annotated

import typer

from spin_hub.cli import options as o
from spin_hub.cli.errors import end


def push(
    folder: Annotated[Path, typer.Argument(help="A folder that edit, select or apply wrote.")],
    as_: Annotated[str | None, typer.Option("--as", metavar="KIND", show_default=False)] = None,
    repo_id: o.RepoId = None,
    private: o.Private = None,
    create_pr: o.CreatePr = False,
    branch: o.Branch = None,
    message: o.Message = None,
    tag: o.Tag = None,
    yes: o.Yes = False,
    no_verify: o.NoVerify = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Publish an edited model or a delta on the Hub, in one commit.

    Examples:

        spin-hub push my-model-spin

        spin-hub push my-model-spin --as delta

        spin-hub push my-model-spin-delta --repo-id me/my-delta --private
    """
    options = dict(locals())

    from spin_hub.cli.console import Screen
    from spin_hub.cli.show import show_pushed
    from spin_hub.workflows.requests import push_options

    screen, how = Screen(as_json, quiet), push_options(options)
    from spin_hub.workflows.push import push as run

    outcome = run(folder, how, as_, screen.reporter)
    screen.result(outcome.to_json(), outcome.place, lambda: show_pushed(screen, outcome))
    screen.warn(outcome.warnings)
    end(outcome.verification)
