"""spin-hub verify."""

from typing import TYPE_CHECKING, Annotated

import typer

from spin_hub.cli import options as o
from spin_hub.cli.errors import end
from spin_hub.cli.plain import one_line
from spin_hub.kinds import kind_of

if TYPE_CHECKING:
    from spin_hub.artifacts.verification import Verification
    from spin_hub.cli.console import Screen

_MOST = 20
"""Rows of a table that are shown."""


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
    from spin_hub.workflows.verify import verify as run

    screen = Screen(as_json, quiet)
    found = run(edited, base, delta, quick, screen.reporter)
    screen.result(found.to_json(), edited, lambda: show_verification(screen, found))
    end(found)


def show_verification(screen: "Screen", found: "Verification") -> None:
    """A table of what differs, and what was compared."""
    rows = found.differences
    if rows:
        cells = [(row.what, row.file, row.expected, row.found) for row in rows[:_MOST]]
        screen.table(("differs", "in", "expected", "found"), [map(one_line, row) for row in cells], left=4)
        if len(rows) > _MOST:
            screen.line(f"and {len(rows) - _MOST:,} more (--json shows all)")
        screen.line("")
    whole = found.checked == found.places
    places = f"all {found.places:,}" if whole else f"{found.checked:,} of {found.places:,}, a sample,"
    how = "touched weights looked at" if found.quick else "touched weights, and every other byte of the shards"
    if not kind_of(found.kind).whole:
        how = "touched weights of the base hold the delta's originals" if found.equal else "touched weights looked at"
    facts = [
        ("verified", one_line(found.edited)),
        ("base", one_line(found.base)),
        ("compared", f"{places} {how}" + (f"; {found.files:,} files" if found.files else "")),
        ("result", "equal" if found.equal else f"{len(rows):,} difference{'s' if len(rows) > 1 else ''}"),
    ]
    screen.facts("", facts)
    for note in found.notes:
        screen.line(one_line(note))
