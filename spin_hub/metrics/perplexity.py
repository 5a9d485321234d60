"""Perplexity: the uncertainty with which a model predicts the responses of examples.

Settings: exp of the mean negative log-likelihood of all response tokens of all examples, each given the whole
text before it, from float32 log-softmax of the logits. Prompt tokens do not count.
Baseline: the base model on the same examples; beside it the control. A number for one tokenizer: models with
different tokenizers cannot be compared by it.
Corrects for: nothing. The mean is over tokens, not over examples, so long responses weigh more.
Interval: 95 %, exp of both ends of the normal interval of the mean negative log-likelihood over examples
(:func:`spin_hub.core.stats.mean_per_token`, the delta method). It shows how much the value would vary
with other examples; all states read the same ones, so a small difference between two states can be real
although their intervals overlap.
Source: F. Jelinek et al., "Perplexity - a measure of the difficulty of speech recognition tasks",
J. Acoust. Soc. Am. 62 (1977).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from spin_hub.core.stats import Estimate, mean_per_token
from spin_hub.metrics.base import Metric
from spin_hub.metrics.likelihood import SUITES, prepare, report

if TYPE_CHECKING:
    from torch import Tensor

METRIC: Final = Metric(
    name="perplexity",
    label="Perplexity",
    unit="per token",
    better="lower",
    needs="logits",
    help="of held-out general text",
    prepare=prepare,
    suites=SUITES,
    report=report,
)


def token_nll(logits: "Tensor", labels: "Tensor") -> "Tensor":
    """Return the negative log-likelihood of every token.

    Args:
        logits: shape (R, vocabulary), of any float type.
        labels: int64, shape (R,), the tokens that follow.

    Returns:
        float32, shape (R,), in nats.
    """
    from torch.nn import functional

    return functional.cross_entropy(logits.float(), labels, reduction="none")


def perplexity(totals: Sequence[float], counts: Sequence[int]) -> Estimate:
    """Return the perplexity per response token.

    Args:
        totals: per example the sum of its tokens' negative log-likelihood, in nats.
        counts: per example the number of its response tokens.

    Raises:
        ValueError: no examples, or one without response tokens.
    """
    nll = mean_per_token(totals, counts)
    if nll.low is None or nll.high is None:
        return Estimate(math.exp(nll.value), None, None, nll.n)
    return Estimate(math.exp(nll.value), math.exp(nll.low), math.exp(nll.high), nll.n)
