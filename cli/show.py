"""How results look on a terminal: tables that fit 80 columns."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from spin_hub.cli.console import Screen
from spin_hub.cli.show_adapter import show_adapter
from spin_hub.cli.show_evidence import show_evidence
from spin_hub.cli.show_verification import show_after_push
from spin_hub.recipe import ScoringRecipe
from spin_hub.units import human_bytes

if TYPE_CHECKING:
    from spin_hub.artifacts.write import Outcome
    from spin_hub.workflows.inspect import Inspection
    from spin_hub.workflows.plan import Plan

_MOST = 12
"""Matrices that a table of a fit or an overlap shows."""


def show_edit(screen: Screen, outcome: "Outcome") -> None:
    """Counts per layer and matrix, then what was written."""
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
    from spin_hub.exports.base import EXPORTS

    usage = EXPORTS[record.kind].usage(record, str(outcome.output))
    if usage:
        screen.line(f"\n{usage}")


def show_pushed(screen: Screen, outcome: "Outcome") -> None:
    """Where a push went, and how much travelled."""
    pushed = outcome.pushed
    if pushed is None:
        return
    facts = [("repo", pushed.url), ("commit", pushed.commit)]
    facts += [("pull request", pushed.pull_request)] if pushed.pull_request else []
    facts.append(("sent", human_bytes(pushed.sent) if pushed.changed else "nothing: all of it was there"))
    screen.facts("", facts)
    show_after_push(screen, outcome.verification)


def show_planned(screen: Screen, repo_id: str, upload: int) -> None:
    """Where a push would go, and how much would travel at most."""
    screen.facts("", [("uploads", f"to {repo_id}, at most {human_bytes(upload)}")])


def show_fit(screen: Screen, fit: Mapping[str, Any]) -> None:
    """How a delta fits: the matrices that differ most from the base's, and the totals."""
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
    """How two deltas overlap: the matrices that differ most, the totals, and what chance would give."""
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
    """Weights per layer and matrix."""
    table = found.table
    header = ("layer", *(_short(column) for column in table.columns), "all")
    body = [
        (label, *(f"{count:,}" if count else "." for count in cells), f"{sum(cells):,}") for label, cells in table.rows
    ]
    last = ("all", *(f"{total:,}" for total in table.totals), f"{sum(table.totals):,}")
    screen.table(header, [*body, last])


def show_plan(screen: Screen, plan: "Plan") -> None:
    """What an edit would read, compute and write."""
    names = list(plan.matrices[0].counts)
    screen.table(
        ("matrices", "shape", *(f"top {name}" for name in names)),
        [
            (str(entry.matrices), " x ".join(map(str, entry.shape)), *(f"{entry.counts[name]:,}" for name in names))
            for entry in plan.matrices
        ],
    )
    screen.line("")
    screen.table(
        ("set", "source", "licence", "examples", "tokens", "count"),
        [(s.name, s.source, s.licence, str(s.examples), f"{s.tokens:,}", f"{s.counted:,}") for s in plan.sets],
    )
    screen.line("")
    screen.facts("", plan.facts)
    screen.line("\nNothing was scored or written.")


def show_sweep(screen: Screen, data: Mapping[str, Any]) -> None:
    """Every edit that was tried: its cost, what it gains, and which are on the front."""
    names = {data["best"]: "best", data["knee"]: "knee"} | (
        {data["best"]: "best, knee"} if data["best"] == data["knee"] else {}
    )
    parts = len({row["part"] for row in data["rows"]}) > 1
    body = []
    for row in data["rows"]:
        p, q = (row["ratios"].get(name) for name in ("general", "fairness"))
        head = (str(row["row"]), *([row["part"]] if parts else []), *("-" if r is None else f"{r:g}" for r in (p, q)))
        if row["why"]:
            body.append((*head, f"{row['weights']:,}", *[""] * 5, row["why"]))
            continue
        gain = row["gain"]
        mark = names.get(row["row"], "front" if row["row"] in data["front"] else "")
        ends = ("" if end is None else f"{end:+.3f}" for end in (gain["low"], gain["high"]))
        figures = (f"{row['kl']:.2g}", f"{row['perplexity_ratio']:.3f}", f"{gain['value']:+.3f}")
        body.append((*head, f"{row['weights']:,}", *figures, *ends, mark))
    header = ("row", *(["part"] if parts else []), "p", "q", "weights", "KL", "ppl x", "shift", "from", "to", "")
    screen.table(header, body)
    screen.line("")
    facts = [
        ("shift", "of the answers to the aware ones, nats per token, with its 95 % interval"),
        ("folder", data["output"]),
    ]
    if data["picked"]:
        facts = [("picked", f"row {data['picked']}. {data['why']}"), ("delta", data["delta"]), *facts]
    screen.facts("", facts)


def show_tokens(screen: Screen, model: str, recipe: ScoringRecipe, count: int) -> None:
    """Examples as the model reads them, on stderr: tokens that count in brackets and in colour."""
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
