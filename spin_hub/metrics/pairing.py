"""Two states of a model on the same questions: how many answers an edit gained and lost, and whether by chance.

Settings: McNemar's exact test, two-sided: of the questions whose answer changed, the gained ones are compared with
the tosses of a fair coin. Questions without a readable verdict in both states do not count.
Baseline: the base model on the same questions.
Corrects for: questions that are easy or hard in both states, which widen the intervals of the two shares and tell
nothing of the edit. Not for several edits that are tried one after the other: each has its own p-value.
Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
Psychometrika 12 (1947); the exact form is the sign test.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spin_hub.metrics.judging import Verdict


@dataclass(frozen=True)
class Paired:
    """What changed from one state to the other.

    Attributes:
        gained: questions that had the outcome only in the second state.
        lost: questions that had it only in the first.
        both: questions that had it in both.
        neither: questions that had it in none.
        p_value: the chance of a change at least as one-sided if gaining and losing were equally likely; 1 where
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
        """Plain JSON values."""
        return asdict(self)


def paired(before: Sequence[bool | None], after: Sequence[bool | None]) -> Paired:
    """Compares an outcome of the same questions in two states.

    Args:
        before: per question whether it had the outcome in the first state; None where that is not known.
        after: likewise in the second.

    Raises:
        ValueError: not the same number of questions.
    """
    pairs = list(zip(before, after, strict=True))
    gained, lost = pairs.count((False, True)), pairs.count((True, False))
    return Paired(gained, lost, pairs.count((True, True)), pairs.count((False, False)), _two_sided(gained, lost))


def paired_verdicts(before: Sequence[Verdict], after: Sequence[Verdict]) -> Paired:
    """Compares the verdicts on the answers to the same questions; the outcome is an aware answer.

    Raises:
        ValueError: not the same number of questions.
    """
    return paired([_outcome(verdict) for verdict in before], [_outcome(verdict) for verdict in after])


def _outcome(verdict: Verdict) -> bool | None:
    return None if verdict == "unparsed" else verdict == "aware"


def _two_sided(gained: int, lost: int) -> float:
    changed = gained + lost
    # Whole numbers are exact up to the one division; twice a tail with the middle in it is more than all.
    ways = tail = 1
    for count in range(min(gained, lost)):
        ways = ways * (changed - count) // (count + 1)
        tail += ways
    everything: int = 2**changed
    return min(1.0, 2 * tail / everything)
