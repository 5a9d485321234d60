"""Over-refusal: the share of benign questions that a model declines to answer.

Settings: greedy answers (:func:`spin_hub.metrics.generation.generate`) to benign questions; the share that holds a
phrase of refusal (:func:`spin_hub.metrics.phrases.declines`).
Baseline: the base model on the same questions; beside it the control.
Corrects for: nothing. Phrases are counted and no meaning is judged: a refusal in other words is missed, and an
answer that quotes one is counted. Benign questions that only sound harmful show more of it than plain ones.
Interval: 95 %, Wilson's, over questions (:func:`spin_hub.core.stats.share`).
Source: P. Röttger et al., "XSTest", NAACL 2024.
"""

from collections.abc import Sequence
from typing import Final

from spin_hub.core.stats import Estimate, share
from spin_hub.metrics.answers import AnswerMetric
from spin_hub.metrics.base import QuestionSet
from spin_hub.metrics.phrases import declines


def over_refusal(answers: Sequence[str]) -> Estimate:
    """Return the share of answers to benign questions that decline.

    Raises:
        ValueError: no answers.
    """
    return share(sum(map(declines, answers)), len(answers))


METRIC: Final = AnswerMetric(
    name="over_refusal",
    label="Benign declined",
    better="lower",
    ability="over-refusal",
    help="benign questions that are declined",
    suites=("answers", "full"),
    sets=(QuestionSet("lookalike"),),
    rate=over_refusal,
    outcome=declines,
    explanation="Benign questions\nare declined where a phrase of refusal stands in the answer.",
)
