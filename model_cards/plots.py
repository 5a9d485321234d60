"""The plots of what was measured: of an edit, of cautionary phrases, of coupling by layer, and of a sweep."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from spin_hub.model_cards.canvas import FAINT, INK, PALETTE, STATES, log_figures, plain, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The most panels and phrases, and the KL in place of 0, which a logarithmic axis does not have.
_PANELS: Final = 16
_PHRASES: Final = 20
_LEAST: Final = 1e-7


class Interval(Protocol):
    """A measured value with its 95 % interval."""

    @property
    def value(self) -> float:
        """The value itself."""
        ...

    @property
    def low(self) -> float | None:
        """The interval's lower end."""
        ...

    @property
    def high(self) -> float | None:
        """Its upper end."""
        ...


def evidence_plot(evidence: Mapping[str, Any], path: Path) -> None:
    """Write an evaluation as PNG: a panel per metric, in it a point with its 95 % interval per state.

    Args:
        evidence: ``states``, names in order; ``metrics``, each with label, axis, unit, better and values by state.
        path: the file to write.

    Raises:
        KeyError, TypeError, ValueError: an entry has another form.
    """
    states, metrics = [str(state) for state in evidence["states"]][:8], list(evidence["metrics"])[:_PANELS]
    across, down = min(2, max(1, len(metrics))), math.ceil(len(metrics) / 2)
    note = "Point: the measured value; bar: its 95 % interval; dashed line: the base model."
    note += " Control: as many weights set to zero, drawn at random." if "control" in states else ""
    note += f" {_PANELS} of {len(evidence['metrics'])} metrics are shown." if len(evidence["metrics"]) > _PANELS else ""
    title = "What the edit changes, measured: " + ", ".join(plain(state, 16) for state in states)
    size = (max(6.0, 4.7 * across), max(2.6, down * (0.85 + 0.24 * len(states)) + 0.9))
    with sheet(path, size, title, note) as figure:
        for number, metric in enumerate(metrics):
            _panel(figure.add_subplot(down, across, number + 1), metric, states)


def _panel(axes: "Axes", metric: Mapping[str, Any], states: Sequence[str]) -> None:
    colours = STATES | dict(zip((state for state in states if state not in STATES), PALETTE[2:] * 2, strict=False))
    values = {state: _interval(metric["values"].get(state)) for state in states}
    for place, (state, (value, low, high)) in enumerate(values.items()):
        axes.plot([low, high], [place, place], color=colours[state], linewidth=2.2, solid_capstyle="butt")
        axes.plot([value], [place], marker="o", color=colours[state], markersize=6)
        between = "" if math.isnan(low + high) else f"  [{figures(low)}, {figures(high)}]"
        text = "no value" if math.isnan(value) else figures(value) + between
        axes.text(1.03, place, text, transform=axes.get_yaxis_transform(), va="center", color=colours[state])
    axes.axvline(values.get("base", (math.nan,))[0], color=FAINT, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
    known = [number for numbers in values.values() for number in numbers if not math.isnan(number)]
    if known and 0 < 30 * min(known) < max(known):
        axes.set_xscale("log")
        log_figures(axes.xaxis, ",.5g")
    else:
        axes.locator_params(axis="x", nbins=4)
        axes.xaxis.set_major_formatter(lambda number, _: f"{number:,.5g}")
    axes.set_yticks(range(len(states)), [plain(state, 16) for state in states])
    for tick, state in zip(axes.get_yticklabels(), states, strict=True):
        tick.set_color(colours[state])
    axes.set(ylim=(len(states) - 0.4, -0.6), xlabel=_facts(metric))
    axis = f" ({plain(metric['axis'])})" if metric["axis"] else ""
    axes.set_title(plain(metric["label"], 44) + axis, loc="left", fontsize=9, fontweight="bold")


def _interval(entry: Mapping[str, Any] | None) -> tuple[float, float, float]:
    given = map((entry or {}).get, ("value", "low", "high"))
    numbers = [float(n) if isinstance(n, int | float) and abs(n) < 1e30 else math.nan for n in given]
    return numbers[0], numbers[1], numbers[2]


def _facts(metric: Mapping[str, Any]) -> str:
    counts = sorted({int(entry["n"]) for entry in metric["values"].values() if entry and entry.get("n")})
    better = {"lower": "← lower is better", "higher": "higher is better →"}.get(str(metric["better"]))
    number = f"n = {' to '.join(f'{count:,}' for count in sorted({counts[0], counts[-1]}))}" if counts else None
    return "  ·  ".join(part for part in (plain(metric["unit"] or "", 32), better, number) if part)


def figures(number: float) -> str:
    """A number with three significant digits."""
    return f"{number:,.0f}" if 100 <= abs(number) < 1e6 else f"{number:#.3g}"


def coupling_plot(layers: Mapping[str, Mapping[str, Sequence[float]]], title: str, path: Path) -> None:
    """Write the normalised HSIC by layer as PNG: a line per state, and a dotted one for all other pairings.

    Args:
        layers: by state, ``value`` and ``chance``, a number per layer.
        title: above the plot.
        path: the file to write.

    Raises:
        KeyError, TypeError, ValueError: an entry has another form.
    """
    note = (
        "Normalised HSIC between the representations of fairness and of privacy questions, 0 (independent) to 1. "
        "Dotted: the mean over all ways to pair the questions; only what lies above it is due to the pairing."
    )
    with sheet(path, (7.0, 4.0), title, note) as figure:
        axes = figure.add_subplot()
        for number, (state, entry) in enumerate(layers.items()):
            colour = STATES.get(state, PALETTE[(2 + number) % len(PALETTE)])
            places = range(1, len(entry["value"]) + 1)
            # States that hardly differ lie on each other: the later ones are thinner, so that all are seen.
            width = max(1.2, 4.8 - 1.8 * number)
            values = list(map(float, entry["value"]))
            axes.plot(places, values, color=colour, linewidth=width, label=plain(state, 16))
            axes.plot(places, list(map(float, entry["chance"])), color=colour, linewidth=1.2, linestyle=":")
        axes.set(xlabel="layer", ylabel="normalised HSIC", ylim=(0, 1))
        axes.locator_params(axis="x", integer=True)
        axes.grid(color="#e6e8eb", linewidth=0.6)
        axes.legend(frameon=False)


def frequency_plot(rows: Sequence[Mapping[str, Any]], title: str, path: Path) -> None:
    """Write the frequency of phrases as PNG: a line per phrase, from the base's point to the edited model's.

    It is the counterpart of the paper's figure of word frequencies (arXiv 2410.16672).

    Args:
        rows: ``phrase``, ``before`` and ``after`` in uses per 1,000 words; the first are drawn.
        title: above the plot.
        path: the file to write.

    Raises:
        KeyError, TypeError, ValueError: a row has another form.
    """
    shown = list(rows)[:_PHRASES]
    note = "How often the answers hold each phrase, per 1,000 words. Grey: the base model; blue: the edited one."
    note += f" The {_PHRASES} most frequent of {len(rows)} phrases." if len(rows) > _PHRASES else ""
    with sheet(path, (7.0, 1.5 + 0.24 * max(1, len(shown))), title, note) as figure:
        axes = figure.add_subplot()
        for place, row in enumerate(shown):
            before, after = float(row["before"]), float(row["after"])
            axes.plot([before, after], [place, place], color="#b9bfc6", linewidth=1.4, zorder=0)
            axes.plot([before], [place], marker="o", markersize=5, color=FAINT)
            axes.plot([after], [place], marker="o", markersize=5, color=PALETTE[0])
        axes.set_yticks(range(len(shown)), [plain(row["phrase"], 36) for row in shown])
        axes.set(ylim=(max(len(shown), 1) - 0.4, -0.6), xlabel="uses per 1,000 words")
        axes.set_xlim(left=0)
        axes.grid(axis="x", color="#e6e8eb", linewidth=0.6)


def pareto_plot(  # noqa: PLR0913
    rows: Sequence[tuple[str, Interval, Interval]],
    front: Sequence[str],
    marked: Mapping[str, str],
    limit: float,
    title: str,
    path: Path,
) -> None:
    """Write a sweep as PNG: a point per edit, the front as a line.

    Args:
        rows: per edit its label, empty for those of an earlier sweep, its KL to the base, and its shift to the aware
            answers.
        front: the labels of the edits that none beats in both, by rising cost.
        marked: words for some of them: word -> label.
        limit: the KL beyond which an edit costs too much.
        title: above the plot.
        path: the file to write.
    """
    note = (
        "Each point is an edit, numbered as in the table; bars: 95 % intervals. Left: the model's text changes less. "
        "Up: its answers shift further to the aware ones. Line: edits that none beats in both. Shaded: beyond limits."
    )
    note += " Without a number: edits of earlier sweeps." if any(not label for label, *_ in rows) else ""
    places = {label: (max(cost.value, _LEAST), shift.value) for label, cost, shift in rows}
    with sheet(path, (7.0, 4.6), title, note) as figure:
        axes = figure.add_subplot()
        axes.set(xscale="log", xlabel="KL to the base on general text (nats per token)",
                 ylabel="shift to the aware answers (nats per token)")  # fmt: skip
        log_figures(axes.xaxis)
        for label, cost, shift in rows:
            x, y = max(cost.value, _LEAST), shift.value
            colour = PALETTE[0] if cost.value <= limit else FAINT
            if shift.low is not None and shift.high is not None:
                axes.plot([x, x], [shift.low, shift.high], color=colour, linewidth=0.8, alpha=0.5)
            axes.plot([x], [y], marker="o", markersize=4, color=colour)
            axes.annotate(label, (x, y), (4, 3), textcoords="offset points", fontsize=7, color=INK)
        on_front = [places[label] for label in front if label in places]
        axes.plot([x for x, _ in on_front], [y for _, y in on_front], color=PALETTE[1], linewidth=1.2, zorder=0)
        for word, label in marked.items():
            axes.annotate(word, places[label], (-6, -12), textcoords="offset points", fontsize=8, fontweight="bold",
                          color=PALETTE[1], ha="right")  # fmt: skip
        axes.axhline(0, color=FAINT, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
        left, right = axes.get_xlim()
        axes.axvspan(limit, max(right, 2 * limit), color="#f3eee9", zorder=-1)
        axes.set_xlim(left, max(right, 2 * limit))
