"""Plots of a ranking: how importance falls with rank, and how much the sets' top weights overlap."""

import math
from collections.abc import Mapping, Sequence
from functools import partial, reduce
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from spin_hub.core.ranking import RankedTensor, Ranking, count_of
from spin_hub.model_cards.canvas import FAINT, INK, PALETTE, log_figures, plain, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""x and y of a line, both of shape (n,)."""

CHANCE: Final = "two random sets"
_POINTS: Final = 120
_DASHES: Final = ("-", "--", ":", "-.")


def importance_curves(curves: Mapping[str, Curve], marks: Mapping[str, float], title: str, path: Path) -> None:
    """Write how importance falls with rank, a line per calibration set, as PNG.

    Args:
        curves: by set, ranks as shares of the matrix and the importance there; others than positive ones are left out.
        marks: ratios to mark, by name, such as p and q.
        title: above the plot.
        path: the file to write.
    """
    note = (
        "Importance: |weight| times its summed absolute gradients on a calibration set; the median over the matrices. "
        "Left: a matrix's most important weights. A ratio takes the weights to the left of its line."
    )
    with sheet(path, (7.0, 4.4), title, note) as figure:
        axes = figure.add_subplot()
        axes.set(yscale="log", ylabel="importance of the weight at this rank")
        _draw(axes, {name: _positive(*curve) for name, curve in curves.items()}, marks)
        axes.set_xlabel("rank, as a share of all weights of the matrix (0.001 = one in a thousand)")
        log_figures(axes.yaxis)


def overlap_curves(ranking: Ranking, marks: Mapping[str, float], title: str, path: Path) -> None:
    """Write which share of their top weights calibration sets have in common, by the ratio, as PNG.

    A line per pair of sets and one for all of them; a last one shows two sets drawn at random.
    """
    note = (
        "Take from each matrix the most important weights for one set, as many as the ratio says: which share of them "
        "is also among the most important for the other (or for all)? Two random sets: what chance alone would give."
    )
    shares = overlaps(ranking)
    with sheet(path, (7.0, 4.4), title, note) as figure:
        axes = figure.add_subplot()
        named = {" & ".join(plain(name, 20) for name in names): curve for names, curve in shares.items()}
        _draw(axes, named | {CHANCE: (_shares(ranking), _shares(ranking))}, marks)
        axes.set(ylim=(0, 1), ylabel="share of the top weights in common")
        axes.set_xlabel("ratio: how many of a matrix's weights count as top (0.001 = one in a thousand)")
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")


def importance_by_rank(ranking: Ranking) -> dict[str, Curve]:
    """By set, the importance at a rank as a share of the matrix: the median over the matrices, at log-spaced shares."""
    shares = _shares(ranking)
    tensors = ranking.tensors.values()
    return {
        name: (shares, np.median([_importance(tensor, name, shares) for tensor in tensors], axis=0))
        for name in ranking.sets
    }


def overlaps(ranking: Ranking) -> dict[tuple[str, ...], Curve]:
    """By sets (each pair, then all of them), the share of their top weights in common at log-spaced ratios."""
    shares = _shares(ranking)
    names = list(combinations(ranking.sets, 2)) + ([ranking.sets] if len(ranking.sets) > 2 else [])
    common = {group: np.zeros(len(shares)) for group in names}
    total = np.zeros(len(shares))
    for tensor in ranking.tensors.values():
        counts = np.array([count_of(share, tensor.shape) for share in shares])
        total += counts
        ranks = {name: _ranks(tensor.tops[name].indices) for name in ranking.sets}
        for group in names:
            common[group] += np.searchsorted(_worst_ranks([ranks[name] for name in group]), counts)
    return {group: (shares, counted / np.maximum(total, 1)) for group, counted in common.items()}


def _shares(ranking: Ranking) -> NDArray[np.float64]:
    return np.geomspace(min(1 / max(ranking.largest, 1), ranking.keep), ranking.keep, _POINTS)


def _importance(tensor: RankedTensor, name: str, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    best = np.asarray(tensor.tops[name].importance, np.float64)
    ranks = np.ceil(shares * math.prod(tensor.shape)).astype(np.int64) - 1
    return best[np.clip(ranks, 0, len(best) - 1)] if len(best) else np.zeros(len(shares))


def _ranks(indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = np.argsort(indices)
    return np.asarray(indices)[order], order


def _worst_ranks(ranked: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> NDArray[np.int64]:
    """Of the weights that all sets kept, the worst of its ranks, sorted: below a count, it is in all the top sets."""
    common = reduce(partial(np.intersect1d, assume_unique=True), [indices for indices, _ in ranked])
    worst = [order[np.searchsorted(indices, common)] for indices, order in ranked]
    return np.sort(np.max(worst, axis=0))


def _positive(x: NDArray[np.float64], y: NDArray[np.float64]) -> Curve:
    kept = (x > 0) & (y > 0) & np.isfinite(x) & np.isfinite(y)
    return x[kept], y[kept]


def _draw(axes: "Axes", curves: Mapping[str, Curve], marks: Mapping[str, float]) -> None:
    axes.set_xscale("log")
    log_figures(axes.xaxis)
    for number, (name, (x, y)) in enumerate(curves.items()):
        colour = FAINT if name == CHANCE else PALETTE[number % len(PALETTE)]
        dash = ":" if name == CHANCE else _DASHES[number % len(_DASHES)]
        axes.plot(x, y, color=colour, linestyle=dash, linewidth=1.8)
    axes.grid(color="#e6e8eb", linewidth=0.6)
    legend = axes.legend(axes.get_lines(), [str(number) for number in range(len(curves))], frameon=True)
    for text, name in zip(legend.get_texts(), curves, strict=True):
        text.set_text(plain(name, 44))
    for row, ratio in enumerate(sorted({ratio for ratio in marks.values() if ratio > 0})):
        names = " = ".join(plain(name, 20) for name in marks if marks[name] == ratio)
        axes.axvline(ratio, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.annotate(f"{names} = {ratio:g}", (ratio, 1), (0, 3 + 10 * max(0, row - 1)), ha="left" if row else "right",
                      xycoords=axes.get_xaxis_transform(), textcoords="offset points")  # fmt: skip
