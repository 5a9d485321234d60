"""Statistics of measurements: estimates with 95 % intervals, and the paired test of two states of a model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

Z: Final = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Estimate:
    """A measured value.

    Attributes:
        value: the estimate itself.
        low: the lower end of its 95 % interval; None if one example alone tells nothing of the spread.
        high: the upper end, likewise.
        n: the number of independent units it rests on: examples or pairs, never tokens.
    """

    value: float
    low: float | None
    high: float | None
    n: int

    def to_json(self) -> dict[str, Any]:
        """JSON representation."""
        return asdict(self)


@dataclass(frozen=True)
class Measurement:
    """A metric's estimates for every state that it is defined for.

    Attributes:
        name: of the metric, in :data:`spin_hub.evidence.METRICS`.
        label: of the metric, for cards and plots.
        axis: what the pairs are about, such as ``fairness``; None if there are no pairs.
        unit: of the values.
        better: ``lower`` or ``higher``.
        values: state -> estimate; the KL has none for the base.
    """

    name: str
    label: str
    axis: str | None
    unit: str
    better: str
    values: Mapping[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        """JSON representation."""
        return {**vars(self), "values": {state: value.to_json() for state, value in self.values.items()}}


def share(successes: float, n: int) -> Estimate:
    """A share of ``n`` trials, with Wilson's interval.

    It stays within [0, 1] and holds its level for small ``n`` and extreme shares, where the usual
    ``share +- z * error`` does not. Half successes (ties) are allowed; the interval is then slightly too wide,
    since a tie varies less than a coin.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    J. Am. Stat. Assoc. 22 (1927).

    Raises:
        ValueError: no trials, or more successes than trials.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is no share")
    value = successes / n
    middle = (value + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(value * (1 - value) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    # At the ends the formula gives the end itself, up to rounding.
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == n else middle + half
    return Estimate(value, low, high, n)


def mean_per_token(totals: Sequence[float], counts: Sequence[int]) -> Estimate:
    """The mean over all tokens of all examples, with a normal interval over the examples.

    Tokens of one example are not independent, so the examples are the units: the mean is the ratio
    ``sum(totals) / sum(counts)``, and its variance that of the linearised ratio,
    ``n / (n - 1) * sum((total - mean * count) ** 2) / sum(counts) ** 2`` (the delta method). The interval
    is ``mean +- 1.96 * error``: symmetric, and a little narrow for few or very uneven examples.

    Source: W. G. Cochran, "Sampling Techniques", 3rd edition (1977), section 6.4.

    Args:
        totals: per example the sum over its tokens.
        counts: per example the number of its tokens.

    Raises:
        ValueError: no examples, or one without tokens.
    """
    n, tokens = len(counts), sum(counts)
    if n < 1 or min(counts) < 1:
        raise ValueError("a mean per token needs examples, each with at least one token")
    value = math.fsum(totals) / tokens
    squares = math.fsum((total - value * count) ** 2 for total, count in zip(totals, counts, strict=True))
    if n == 1:
        return Estimate(value, None, None, n)
    half = Z * math.sqrt(n / (n - 1) * squares) / tokens
    return Estimate(value, value - half, value + half, n)


@dataclass(frozen=True)
class Paired:
    """The changes of an outcome between two states of a model, question by question.

    Attributes:
        gained: questions that had the outcome only in the second state.
        lost: questions that had it only in the first.
        both: questions that had it in both.
        neither: questions that had it in neither.
        p_value: the probability of a change at least as one-sided if gaining and losing were equally likely; 1 if
            nothing changed.
    """

    gained: int
    lost: int
    both: int
    neither: int
    p_value: float

    @property
    def n(self) -> int:
        """The questions that count."""
        return self.gained + self.lost + self.both + self.neither

    def to_json(self) -> dict[str, Any]:
        """JSON representation."""
        return asdict(self)


def paired(before: Sequence[bool | None], after: Sequence[bool | None]) -> Paired:
    """Compare an outcome of the same questions in two states by McNemar's exact test, two-sided.

    Of the questions whose outcome changed, the gained ones are compared with tosses of a fair coin, so questions that
    are easy or hard in both states, which widen the intervals of the two shares, do not count. Several edits that are
    tried one after the other have a p-value each; nothing corrects for their number.

    Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947); the exact form is the sign test.

    Args:
        before: per question, whether it had the outcome in the first state; a None leaves the question out.
        after: per question, whether it had the outcome in the second.

    Raises:
        ValueError: the numbers of questions differ.
    """
    pairs = list(zip(before, after, strict=True))
    gained, lost = pairs.count((False, True)), pairs.count((True, False))
    changed = gained + lost
    # Whole numbers are exact up to the one division; twice a tail with the middle in it is more than all.
    ways = tail = 1
    for count in range(min(gained, lost)):
        ways = ways * (changed - count) // (count + 1)
        tail += ways
    everything: int = 2**changed
    p_value = min(1.0, 2 * tail / everything)
    return Paired(gained, lost, pairs.count((True, True)), pairs.count((False, False)), p_value)
