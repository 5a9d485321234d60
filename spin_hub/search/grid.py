"""What a sweep tries: pairs of p and q."""

from collections.abc import Iterable
from typing import Final

QS: Final = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
FACTORS: Final = (1.0, 3.0, 10.0, 30.0, 100.0)
"""The default grid: every q with a p of so many times q, as far as the ranking reaches."""

Ratios = tuple[float, float]
"""(p, q): the ratio of ``general``, and of every other set."""


def default_grid(keep: float) -> tuple[Ratios, ...]:
    """The default grid within a ranking that keeps weights up to a ratio; a p beyond it becomes that ratio."""
    pairs = {(_rounded(min(q * factor, keep)), q) for q in QS if q <= keep for factor in FACTORS}
    return tuple(sorted(pairs, key=lambda pair: (pair[1], pair[0])))


def product_grid(ps: Iterable[float], qs: Iterable[float]) -> tuple[Ratios, ...]:
    """Every given p with every given q, without repetition."""
    ps = list(ps)
    return tuple(dict.fromkeys((p, q) for q in qs for p in ps))


def _rounded(ratio: float) -> float:
    """Without the digits that a product of decimal fractions leaves behind."""
    return float(f"{ratio:.6g}")
