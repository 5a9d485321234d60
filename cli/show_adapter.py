"""How an adapter or another export looks on a terminal."""

from typing import TYPE_CHECKING

from spin_hub.cli.console import Screen

if TYPE_CHECKING:
    from spin_hub.artifacts.write import Outcome


def show_adapter(screen: Screen, outcome: "Outcome") -> None:
    """Show what was exported, where it is exact, and how it is loaded."""
    from spin_hub.exports.base import EXPORTS

    entry, output = EXPORTS[outcome.record.kind], str(outcome.output)
    screen.facts("", [*entry.shown(outcome.record), ("output", output)])
    usage = entry.usage(outcome.record, output)
    if usage:
        screen.line(f"\n{usage}")
