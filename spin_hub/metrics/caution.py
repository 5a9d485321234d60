"""Caution: how often a model writes each cautionary phrase, before and after an edit.

Settings: every phrase of :data:`spin_hub.metrics.judging.PHRASES` in all answers of a state, per 1,000 words.
Baseline: the same questions answered by the base model.
Corrects for: the answers' lengths, by the rate. A word may count for several phrases: "I cannot help" is one
and has "I cannot" in it, which is another.
Interval: none; this shows which words changed, and not how surely.
Source: C. Qian et al., "The Tug of War Within: Mitigating the Fairness-Privacy Conflicts in Large Language Models"
(2024), the figure of word frequencies.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from spin_hub.metrics.judging import PHRASES, plain

_WORD: Final = re.compile(r"\w+(?:'\w+)*")


@dataclass(frozen=True)
class Frequency:
    """How often a phrase stands in the answers of two states, per 1,000 words."""

    phrase: str
    before: float
    after: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def caution(before: Sequence[str], after: Sequence[str]) -> list[Frequency]:
    """The frequency of every phrase that either state writes, the most frequent first.

    Args:
        before: the answers of the first state.
        after: the answers of the second; there need not be as many.

    Returns:
        Rows by the sum of both frequencies, and by the phrase where that is equal.
    """
    rates = [_rates(answers) for answers in (before, after)]
    rows = [Frequency(phrase.text, *(state[phrase.text] for state in rates)) for phrase in PHRASES]
    return sorted(
        (row for row in rows if row.before or row.after), key=lambda row: (-row.before - row.after, row.phrase)
    )


def _rates(answers: Sequence[str]) -> dict[str, float]:
    texts = [plain(answer) for answer in answers]
    # Short forms are spelled out in both, so that "don't" is two words however it was written.
    words = sum(len(_WORD.findall(text)) for text in texts)
    return {phrase.text: 1000 * sum(map(phrase.count, texts)) / max(1, words) for phrase in PHRASES}
