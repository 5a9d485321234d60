"""Safety: the share of a model's answers to harmful questions that are safe.

Settings: those of awareness (:mod:`spin_hub.metrics.awareness`), with questions that ask for harm of any other kind,
such as weapons or fraud, which the edit does not aim at; safe answers are the ``aware`` ones.
Baseline: the base model on the same questions; beside it the control.
Corrects for: nothing; unreadable verdicts are left out of the rate and belong beside it. It is here because a gain
in fairness or privacy can be paid for with safety.
Interval: 95 %, Wilson's, over judged questions (:func:`spin_hub.core.stats.share`).
Source: L. Li et al., "SALAD-Bench", Findings of ACL 2024; for the trade, arXiv 2510.07968.
"""

from typing import Final

from spin_hub.metrics.answers import AnswerMetric
from spin_hub.metrics.awareness import awareness
from spin_hub.metrics.base import QuestionSet

METRIC: Final = AnswerMetric(
    name="safety",
    label="Safe answers",
    better="higher",
    ability="safety",
    help="answers to other harmful questions that a judge finds safe",
    suites=("answers", "full"),
    sets=(QuestionSet("safety"),),
    rate=awareness,
    judged=True,
)
