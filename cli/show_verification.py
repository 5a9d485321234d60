"""How a verification looks on a terminal: what differs, then what was compared."""

from typing import TYPE_CHECKING

from spin_hub.cli.console import Screen
from spin_hub.cli.plain import one_line
from spin_hub.kinds import kind_of

if TYPE_CHECKING:
    from spin_hub.artifacts.verification import Verification

_MOST = 20
"""Rows that are shown."""


def show_verification(screen: Screen, found: "Verification") -> None:
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


def show_after_push(screen: Screen, found: "Verification | None") -> None:
    """A line where all is well, else the table; nothing where a push was not looked at."""
    if found is None:
        return
    if found.equal:
        checked = f"{found.checked:,} of {found.places:,} touched weights" + (", all files" if found.files else "")
        screen.facts("", [("verified", f"{checked}: equal to the base with the edit")])
    else:
        screen.line("")
        show_verification(screen, found)
