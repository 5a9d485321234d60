"""Tables of results that several commands print, within 80 columns."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from spin_hub.cli.console import Screen
from spin_hub.cli.eval import show_evidence
from spin_hub.cli.verify import show_verification
from spin_hub.recipe import ScoringRecipe
from spin_hub.units import human_bytes

if TYPE_CHECKING:
    from spin_hub.artifacts.write import Outcome
    from spin_hub.workflows.inspect import Inspection

_MOST = 12
"""Matrices that a table of a fit or an overlap shows."""


def show_edit(screen: Screen, outcome: "Outcome") -> None:
    """Count per layer and matrix, then what was written."""
    record = outcome.record
    result, method = record.result, record.method
    if outcome.output is None:
        return
    show_counts(screen, outcome)
    of = f" of {result.candidates}" if result.candidates else ""
    ratios = ", ".join(f"{name} {ratio!r}" for name, ratio in method.get("ratios", {}).items())
    facts = [
        ("rule", outcome.rule),
        *([("ratios", ratios)] if ratios else []),
        ("weights", f"{result.weights:,} set to zero, in {result.tensors}{of} matrices"),
        *([] if record.adapter else [("output", str(outcome.output))]),
    ]
    if record.evaluation:
        screen.line("")
        show_evidence(screen, record.evaluation)
    screen.line("")
    screen.facts("", facts)
    if outcome.pushed:
        screen.line("")
    show_pushed(screen, outcome)
    if record.adapter:
        screen.line("")
        show_adapter(screen, outcome)
        return
    _show_usage(screen, outcome)


def show_adapter(screen: Screen, outcome: "Outcome") -> None:
    """Show what was exported, where it is exact, and how it is loaded."""
    from spin_hub.exports.base import EXPORTS

    shown = EXPORTS[outcome.record.kind].shown(outcome.record)
    screen.facts("", [*shown, ("output", str(outcome.output))])
    _show_usage(screen, outcome)


def _show_usage(screen: Screen, outcome: "Outcome") -> None:
    from spin_hub.exports.base import EXPORTS

    usage = EXPORTS[outcome.record.kind].usage(outcome.record, str(outcome.output))
    if usage:
        screen.line(f"\n{usage}")


def show_pushed(screen: Screen, outcome: "Outcome") -> None:
    """Show where a push went, and how much was sent."""
    pushed = outcome.pushed
    if pushed is None:
        return
    facts = [("repo", pushed.url), ("commit", pushed.commit)]
    facts += [("pull request", pushed.pull_request)] if pushed.pull_request else []
    facts.append(("sent", human_bytes(pushed.sent) if pushed.changed else "nothing: all of it was there"))
    screen.facts("", facts)
    found = outcome.verification
    if found is None:
        return
    if found.equal:
        checked = f"{found.checked:,} of {found.places:,} touched weights" + (", all files" if found.files else "")
        screen.facts("", [("verified", f"{checked}: equal to the base with the edit")])
    else:
        screen.line("")
        show_verification(screen, found)


def show_fit(screen: Screen, fit: Mapping[str, Any]) -> None:
    """Show how a delta fits: the matrices that differ most from the base's, and the totals."""
    matrices = sorted(fit["matrices"].items(), key=lambda item: (item[1]["equal"] - item[1]["weights"], item[0]))
    body = [(_brief(name), *_fit_cells(entry)) for name, entry in matrices[:_MOST]]
    others = len(matrices) - len(body)
    body += [(f"{others:,} that fit better", *[""] * 5)] if others else []
    header = ("matrix", "weights", "the base's", "zero", "changed", "by (median)")
    screen.table(header, [*body, (f"all {len(matrices):,}", *_fit_cells(fit))])
    screen.line("")


def _brief(name: str) -> str:
    return name.removesuffix(".weight").replace("model.layers.", "layer ").replace("transformer.h.", "layer ")


def _fit_cells(entry: Mapping[str, Any]) -> tuple[str, ...]:
    counts = tuple(f"{entry[name]:,}" for name in ("weights", "equal", "zero", "changed"))
    drift = entry["changed_drift"]
    return (*counts, "-" if drift is None else f"{drift:.2%}")


def show_overlap(screen: Screen, data: Mapping[str, Any]) -> None:
    """Show how two deltas overlap: the matrices that differ most, the totals, and what chance would give."""
    parts = sorted(data["tensors"].items(), key=lambda item: (-item[1]["only_a"] - item[1]["only_b"], item[0]))
    body = [(_brief(name), *_overlap_cells(part)) for name, part in parts[:_MOST]]
    others = len(parts) - len(body)
    body += [(f"{others:,} that differ less", *[""] * 6)] if others else []
    header = ("matrix", "A", "B", "both", "only A", "only B", "Jaccard")
    screen.table(header, [*body, (f"all {len(parts):,}", *_overlap_cells(data))])
    shared, expected = data["shared"], data["expected_by_chance"]
    times = f", {_times(shared / expected)} times as many" if expected and shared else ""
    screen.line("")
    facts = [("A", data["rules"]["a"]), ("B", data["rules"]["b"])]
    screen.facts("", [*facts, ("by chance", f"they would share {expected:.3g}; they share {shared:,}{times}")])


def _overlap_cells(entry: Mapping[str, Any]) -> tuple[str, ...]:
    counts = tuple(f"{entry[name]:,}" for name in ("a", "b", "shared", "only_a", "only_b"))
    return (*counts, "-" if entry["jaccard"] is None else f"{entry['jaccard']:.3f}")


def show_counts(screen: Screen, found: "Outcome | Inspection") -> None:
    """Show the weights per layer and matrix."""
    table = found.table
    header = ("layer", *(_short(column) for column in table.columns), "all")
    body = [
        (label, *(f"{count:,}" if count else "." for count in cells), f"{sum(cells):,}") for label, cells in table.rows
    ]
    last = ("all", *(f"{total:,}" for total in table.totals), f"{sum(table.totals):,}")
    screen.table(header, [*body, last])


def show_tokens(screen: Screen, model: str, recipe: ScoringRecipe, count: int) -> None:
    """Show examples as the model reads them, on stderr: tokens that count in brackets and in colour."""
    from spin_hub.scoring.inputs import show_examples

    for name, examples in show_examples(model, recipe, count, screen.reporter).items():
        for number, pieces in enumerate(examples, 1):
            counted = sum(counts for _, counts in pieces)
            screen.err.print(
                Text(f"{name}, example {number}: {len(pieces)} tokens, {counted} count (in brackets)", style="bold")
            )
            text = Text()
            for piece, counts in pieces:
                shown = _visible(piece)
                text.append(f"[{shown}]" if counts else shown, style="green" if counts else "dim")
            screen.err.print(text)


def _times(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _visible(piece: str) -> str:
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in piece)


def _short(column: str) -> str:
    return column.removeprefix("mlp.").removeprefix("self_attn.")
