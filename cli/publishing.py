"""Options that say where and how something is pushed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spin_hub.errors import UsageError

if TYPE_CHECKING:
    from spin_hub.artifacts.publish import PushOptions

_PANEL = "Hub"

Push = Annotated[bool, typer.Option("--push", help="Publish the result on the Hub.", rich_help_panel=_PANEL)]
RepoId = Annotated[
    str | None,
    typer.Option("--repo-id", metavar="OWNER/NAME", help="Default: you/BASE-spin.", rich_help_panel=_PANEL),
]
Private = Annotated[
    bool | None,
    typer.Option("--private/--public", help="Of a new repo. A closed base makes it private.", rich_help_panel=_PANEL),
]
CreatePr = Annotated[bool, typer.Option("--create-pr", help="Open a pull request.", rich_help_panel=_PANEL)]
Branch = Annotated[str | None, typer.Option("--branch", help="Commit to this branch.", rich_help_panel=_PANEL)]
Message = Annotated[str | None, typer.Option("--message", help="The commit's message.", rich_help_panel=_PANEL)]
Tag = Annotated[str | None, typer.Option("--tag", help="Name the commit.", rich_help_panel=_PANEL)]
Yes = Annotated[
    bool, typer.Option("--yes", help="Push into a repo that spin-hub did not make.", rich_help_panel=_PANEL)
]
NoVerify = Annotated[bool, typer.Option("--no-verify", help="Do not look at what was pushed.", rich_help_panel=_PANEL)]


def push_options(options: Mapping[str, Any]) -> "PushOptions":
    """The push options of a command.

    Raises:
        UsageError: they contradict each other.
    """
    from spin_hub.artifacts.publish import PushOptions

    fields = {name: options[name] for name in _NAMES if name != "no_verify"}
    return PushOptions(**fields, verify=not options["no_verify"])


def wanted(options: Mapping[str, Any], free: tuple[str, ...] = ()) -> "PushOptions | None":
    """The push options where --push is given; ``free`` names those that mean something without it too.

    Raises:
        UsageError: options of a push without --push, or ones that contradict each other.
    """
    if options["push"]:
        return push_options(options)
    for name in _NAMES:
        if options[name] not in (None, False) and name not in free:
            option = {"private": "--private", "yes": "--yes"}.get(name, "--" + name.replace("_", "-"))
            raise UsageError(message=f"{option} says how to push, but --push is not given.")
    return None


_NAMES = ("repo_id", "private", "create_pr", "branch", "message", "tag", "yes", "no_verify")
