"""Plots of an edit: the edited weights per layer and matrix, and what was measured of them."""

import math
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from spin_hub.core.names import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#22262b"
FAINT: Final = "#6b727b"
PALETTE: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's colours, which people with any colour vision tell apart."""
STYLE: Final[dict[str, Any]] = {
    "text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 8.5, "text.color": INK,
    "axes.labelcolor": INK, "axes.edgecolor": "#b9bfc6", "axes.spines.top": False, "axes.spines.right": False,
    "xtick.color": INK, "ytick.color": INK, "figure.facecolor": "white", "figure.constrained_layout.h_pad": 0.08,
}  # fmt: skip
"""Names come from strangers' files, so no text is ever read as mathematics."""

_NUMBERED: Final = 48
_FILLED: Final = 512
_MOST: Final = 16
_STATES: Final = {"base": "#555b63", "edited": PALETTE[0], "control": PALETTE[1]}
_SCALE: Final = ("#e8f3f5", "#bedee7", "#96c8db", "#71afce", "#5195be", "#3d79a8", "#355e8c", "#31446c", "#2a2e4c")
"""Equal steps in CIELAB from near-white to dark blue, so that equal steps of a count look equal."""


@contextmanager
def sheet(path: Path, size: tuple[float, float], title: str, note: str) -> Iterator["Figure"]:
    """A figure of that size in inches, with a title above and a reading aid below, written as a small PNG on leaving.

    The style is matplotlib's own whatever the user has set, so that equal plots are equal files; it is set back.
    """
    from matplotlib import style
    from matplotlib.figure import Figure
    from PIL import Image

    with style.context(["default", STYLE]):
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        heading = textwrap.fill(plain(title, 200), int(size[0] * 10), break_on_hyphens=False)
        figure.suptitle(heading, x=0.01, ha="left", fontsize=11, fontweight="bold")
        figure.supxlabel(textwrap.fill(note, int(size[0] * 14.5)), x=0.01, ha="left", fontsize=8, color=FAINT)
        yield figure
        figure.savefig(drawn := BytesIO(), format="png")
    Image.open(drawn).convert("RGB").quantize(256).save(path, format="PNG", optimize=True, dpi=(150, 150))


def plain(text: object, width: int = 28) -> str:
    """A stranger's text as one line of characters that the font has, shortened in its middle."""
    from matplotlib import font_manager

    known = font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap()
    line = "".join(letter if ord(letter) in known else "□" for letter in " ".join(str(text).split()))
    return line if len(line) <= width else f"{line[: width // 2]}…{line[width // 2 + 1 - width :]}"


def heat_map(table: Table, title: str, path: Path) -> None:
    """Writes how many weights were set to zero, per layer (downwards) and matrix (across), as PNG.

    Layers without an edit have a row too; where there are many experts, a layer's experts share a column.
    """
    labels, cells = _rows(table)
    names, counts = _columns(table.columns, cells)
    numbered, cell = len(labels) <= _NUMBERED, 1.3 if len(names) <= 4 else 0.55
    turned = max(map(len, names)) * 0.08 > cell
    height = min(max(1.0, len(labels) * (0.19 if numbered else 0.08)), 10.5) + (2.4 if turned else 1.3)
    size = (max(6.0, 2 + cell * len(names)), height)
    note = "Each cell: how many weights of this layer's matrix the edit set to zero; under a matrix's name, their sum."
    note += " * stands for every expert." if any("*" in name for name in names) else ""
    with sheet(path, size, title, note) as figure:
        axes = _cells(figure, counts)
        _label(axes, labels, [f"{name}\n{sum_:,}" for name, sum_ in zip(names, counts.sum(0), strict=True)], turned)
        if numbered:
            _write_counts(axes, counts, (size[0] - 2) / len(names))


def evidence_plot(evidence: Mapping[str, Any], path: Path) -> None:
    """Writes an evaluation as PNG: a panel per metric, in it a point with its 95 % interval per state.

    Args:
        evidence: ``states``, names in order; ``metrics``, each with label, axis, unit, better and values by state.
        path: the file to write.

    Raises:
        KeyError, TypeError, ValueError: an entry has another form.
    """
    states, metrics = [str(state) for state in evidence["states"]][:8], list(evidence["metrics"])[:_MOST]
    across, down = min(2, max(1, len(metrics))), math.ceil(len(metrics) / 2)
    note = "Point: the measured value; bar: its 95 % interval; dashed line: the base model."
    note += " Control: as many weights set to zero, drawn at random." if "control" in states else ""
    note += f" {_MOST} of {len(evidence['metrics'])} metrics are shown." if len(evidence["metrics"]) > _MOST else ""
    title = "What the edit changes, measured: " + ", ".join(plain(state, 16) for state in states)
    size = (max(6.0, 4.7 * across), max(2.6, down * (0.85 + 0.24 * len(states)) + 0.9))
    with sheet(path, size, title, note) as figure:
        for number, metric in enumerate(metrics):
            _panel(figure.add_subplot(down, across, number + 1), metric, states)


def _rows(table: Table) -> tuple[list[str], NDArray[np.int64]]:
    none = (0,) * len(table.columns)
    cells = dict(table.rows) or {"0": none}
    numbers = [int(label) for label in cells if label.isdecimal()]
    filled = range(max(numbers, default=-1) + 1) if max(numbers, default=0) < _FILLED else numbers
    labels = [*map(str, filled), *(label for label in cells if not label.isdecimal())]
    return labels, np.array([cells.get(label, none) for label in labels], np.int64)


def _columns(names: Sequence[str], cells: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
    sums: dict[str, NDArray[np.int64]] = {} if names else {"-": np.zeros(len(cells), np.int64)}
    for name, column in zip(names, cells.T, strict=True):
        key = re.sub(r"\.\d+(?=\.|$)", ".*", name) if len(names) > _MOST else name
        sums[key] = sums.get(key, np.zeros_like(column)) + column
    kept = sorted(sums, key=lambda name: int(sums[name].sum()), reverse=True)[: _MOST - 1]
    chosen = {name: sums[name] for name in sums if name in kept}
    if others := [sums[name] for name in sums if name not in kept]:
        chosen[f"{len(others)} others"] = np.sum(others, axis=0)
    return [plain(name) for name in chosen], np.stack(list(chosen.values()), axis=1)


def _cells(figure: "Figure", counts: NDArray[np.int64]) -> "Axes":
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import MaxNLocator

    scale = LinearSegmentedColormap.from_list("spin", _SCALE).with_extremes(bad="#fcfcfd")
    edited, most = np.ma.masked_equal(counts, 0), max(1, counts.max())
    axes = figure.add_subplot()
    mesh = axes.pcolormesh(edited, cmap=scale, vmin=0, vmax=most, edgecolors="#d9dde2", linewidth=0.3)
    figure.colorbar(mesh, ax=axes, label="weights set to zero", ticks=MaxNLocator(6, integer=True), aspect=35)
    return axes


def _label(axes: "Axes", rows: Sequence[str], columns: Sequence[str], turned: bool) -> None:
    shown = range(0, len(rows), 1 if len(rows) <= _NUMBERED else 8 * math.ceil(len(rows) / 256))
    axes.set_yticks([row + 0.5 for row in shown], [rows[row] if rows[row] != "-" else "none" for row in shown])
    side, angle = ("left", 45) if turned else ("center", 0)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=angle, ha=side, rotation_mode="anchor")
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.set(ylabel="layer", ylim=(len(rows), 0))
    axes.spines[:].set_visible(False)


def _write_counts(axes: "Axes", counts: NDArray[np.int64], inches: float) -> None:
    for (row, column), count in np.ndenumerate(counts):
        text = f"{count}" if count < 10_000 else f"{count / 1e3:.0f}k" if count < 1e6 else f"{count / 1e6:.0f}M"
        if len(text) * 0.08 <= inches:
            colour = "#a3a9b1" if count == 0 else "white" if count > 0.55 * counts.max() else INK
            axes.text(column + 0.5, row + 0.52, text, ha="center", va="center", fontsize=7, color=colour)


def _panel(axes: "Axes", metric: Mapping[str, Any], states: Sequence[str]) -> None:
    colours = _STATES | dict(zip((state for state in states if state not in _STATES), PALETTE[2:] * 2, strict=False))
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
