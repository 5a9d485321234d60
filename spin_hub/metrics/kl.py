"""KL divergence: the distance by which an edit moves the model's predictions of text that it should leave alone.

Settings: KL(base || edited) over the whole vocabulary, in nats, at every response token of the examples
(teacher forcing: both models read the same tokens), from float32 log-softmax of the logits; the mean over all
response tokens.
Baseline: the base model, read in the same batches, so that an edit of nothing gives exactly 0; beside it the
control, as many weights drawn at random.
Corrects for: the rounding of the log-softmax, which the plain sum ``p * (log p - log q)`` takes in full and
which hides small effects. ``q - p`` sums to 0 over the vocabulary; with it every term is at least 0, and the
rounding counts only squared. In bfloat16 the model's own rounding remains: any change of any weight, even one
without a purpose, has a KL above 0; compare with the control.
Interval: 95 %, normal, over examples (:func:`spin_hub.core.stats.mean_per_token`), cut off at 0.
Source: S. Kullback and R. A. Leibler, "On information and sufficiency", Ann. Math. Stat. 22 (1951).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from spin_hub.core.stats import Estimate, mean_per_token
from spin_hub.metrics.base import Metric
from spin_hub.metrics.likelihood import SUITES, prepare, report

if TYPE_CHECKING:
    from torch import Tensor

METRIC: Final = Metric(
    name="kl",
    label="KL to the base",
    unit="nats per token",
    better="lower",
    needs="logits",
    help="how far predictions of general text move from the base's",
    prepare=prepare,
    suites=SUITES,
    report=report,
)


def token_kl(base: "Tensor", edited: "Tensor") -> "Tensor":
    """Return KL(base || edited) of every token.

    Args:
        base: logits, shape (R, vocabulary), of any float type.
        edited: logits of the same tokens.

    Returns:
        float32, shape (R,), in nats, never below 0.
    """
    import torch

    log_p = torch.log_softmax(base, dim=-1, dtype=torch.float32)
    log_q = torch.log_softmax(edited, dim=-1, dtype=torch.float32)
    p = log_p.exp()
    log_p.sub_(log_q).mul_(p)
    return log_q.exp_().sub_(p).add_(log_p).sum(dim=-1).clamp_min_(0)


def kl(totals: Sequence[float], counts: Sequence[int]) -> Estimate:
    """Return the mean KL per response token.

    Args:
        totals: per example the sum of its tokens' KL, in nats.
        counts: per example the number of its response tokens.

    Raises:
        ValueError: no examples, or one without response tokens.
    """
    estimate = mean_per_token(totals, counts)
    return estimate if estimate.low is None else replace(estimate, low=max(0.0, estimate.low))
