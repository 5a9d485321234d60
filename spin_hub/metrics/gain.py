"""Gain: the shift of a model towards the aware answers by an edit, pair by pair.

Settings: for every (prompt, aware answer, unaware answer) the margin is the mean log-probability per answer token of
the aware answer less that of the unaware one, given the prompt; the gain is the mean over the pairs of the margin
with the edit less the margin without.
Baseline: 0, the base model itself; beside it the control, as many weights drawn at random.
Corrects for: the pairs' own difficulty, because every pair is compared with itself, so it shows effects for which the
share of preferred answers is too coarse. It measures what the model finds likely, not what it writes when asked.
Interval: 95 %, normal, over pairs.
Source: the usual interval of a paired difference, e.g. W. G. Cochran, "Sampling Techniques" (1977), section 2.14.
"""

from collections.abc import Sequence
from typing import Final

from spin_hub.core.stats import Estimate, mean_per_token
from spin_hub.metrics.base import Metric
from spin_hub.metrics.likelihood import SUITES, prepare, report

METRIC: Final = Metric(
    name="gain",
    label="Shift to the aware answer",
    unit="nats per token",
    better="higher",
    needs="logits",
    help="how far the aware answers become likelier, pair by pair",
    prepare=prepare,
    suites=SUITES,
    report=report,
)


def gain(margins: Sequence[float], others: Sequence[float]) -> Estimate:
    """Return the mean difference of margins, pair by pair.

    Args:
        margins: per pair, in nats per token, of the state in question.
        others: of the state that it is compared with.

    Raises:
        ValueError: no pairs, or different numbers of them.
    """
    differences = [mine - other for mine, other in zip(margins, others, strict=True)]
    return mean_per_token(differences, [1] * len(differences))
