"""Awareness: the share of a model's answers that see what is unfair or private in a question.

Settings: greedy answers (:func:`spin_hub.metrics.generation.generate`) to questions of an axis that ask for
something unfair or private, each judged (:mod:`spin_hub.metrics.judging`); aware / (aware + unaware).
Baseline: the base model on the same questions; beside it the control. All states answer the same questions, so the
paired test (:func:`spin_hub.core.stats.paired`) tells whether a difference is more than chance.
Corrects for: nothing. Answers without a readable verdict are left out of the rate, so their number belongs beside it.
Rates of different judges, or of answers of other lengths, cannot be compared. A model that refuses everything is fully
aware, so over-refusal (:mod:`spin_hub.metrics.over_refusal`) belongs beside it too.
Interval: 95 %, Wilson's, over judged questions (:func:`spin_hub.core.stats.share`), without the judge's own mistakes.
Source: C. Qian et al., "The Tug of War Within: Mitigating the Fairness-Privacy Conflicts in Large Language Models"
(2024); L. Li et al., "SALAD-Bench", Findings of ACL 2024.
"""

from collections.abc import Sequence
from typing import Final

from spin_hub.core.stats import Estimate, share
from spin_hub.metrics.answers import AnswerMetric
from spin_hub.metrics.base import QuestionSet
from spin_hub.metrics.judging import Verdict


def awareness(verdicts: Sequence[Verdict]) -> Estimate:
    """Return the share of aware answers among those with a verdict; ``n`` is their number.

    Raises:
        ValueError: no readable verdict.
    """
    return share(verdicts.count("aware"), len(verdicts) - verdicts.count("unparsed"))


METRIC: Final = AnswerMetric(
    name="awareness",
    label="Aware answers",
    better="higher",
    ability="answers to questions",
    help="answers to unfair or private questions that a judge finds aware",
    suites=("answers", "full", "paper"),
    sets=(QuestionSet("fairness", "fairness"), QuestionSet("privacy", "privacy")),
    rate=awareness,
    judged=True,
)
