"""Tables of measurements that fit 80 columns: before, after and for the control."""

from collections.abc import Iterator, Mapping
from typing import Any

from spin_hub.cli.console import Screen
from spin_hub.evidence import reports


def show_evidence(screen: Screen, evaluation: Mapping[str, Any]) -> None:
    """Show the measurements before, after and for the control, with 95 % intervals."""
    states = evaluation["states"]
    rows = []
    for metric in evaluation["metrics"]:
        name = f"{metric['axis']} {metric['name']}" if metric["axis"] else metric["name"]
        values = [metric["values"].get(state) for state in states]
        rows.append((name, *(f"{entry['value']:.4g}" if entry else "-" for entry in values)))
        rows.append(("95 % interval", *(_interval(entry) for entry in values)))
    screen.table(("measured", *states), rows)


def show_details(screen: Screen, evaluation: Mapping[str, Any]) -> None:
    """Show the changes answer by answer, and how the metrics were measured."""
    found = list(reports(evaluation))
    changes = [row for report in found for row in _changes(report.changes)]
    if changes:
        screen.line("")
        screen.table(("answers", "against the base", "gained", "lost", "both", "neither", "p"), changes, left=2)
    for grid in (grid for report in found for grid in report.grids):
        screen.line("")
        screen.table(grid.header, grid.rows, left=grid.left)
    against = evaluation["about"].get("against")
    facts = [("base", against)] if against else []
    facts += [fact for report in found for fact in report.facts]
    if facts:
        screen.line("")
        screen.facts("", facts)


def _changes(paired: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for label, states in paired.items():
        for state, change in states.items():
            counts = (str(change[name]) for name in ("gained", "lost", "both", "neither"))
            yield (label, state, *counts, f"{change['p_value']:.2g}")


def _interval(entry: Mapping[str, Any] | None) -> str:
    if entry is None or entry["low"] is None:
        return ""
    return f"{entry['low']:.3g} - {entry['high']:.3g}"
