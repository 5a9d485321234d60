"""The gradient of a batch's loss, taken at the logits and sent back through whatever graph leads to them."""

from typing import Final

import torch
from torch import Tensor
from transformers import PreTrainedModel

from spin_hub.errors import NotFinite
from spin_hub.models.batches import Batch
from spin_hub.models.forward import ResponseLogits
from spin_hub.scoring.attention import FastAttention

_CHUNK: Final = 1 << 20


def backward_from_loss(model: PreTrainedModel, batch: Batch, set_name: str) -> None:
    """Runs the model on a batch and sends the gradient of ``sum_i L_i`` back through the graph of that pass.

    L_i is the mean cross-entropy of example i's counted tokens. Something in the pass must start a graph.

    Args:
        model: its parameters need no gradients.
        batch: on the model's device.
        set_name: for the error.

    Raises:
        NotFinite: the loss of an example is no finite number.
    """
    with torch.enable_grad(), FastAttention(), ResponseLogits(model, batch) as head:
        logits = model(input_ids=batch.ids, use_cache=False).logits
    gradient = _gradient(head.select(logits.detach()), batch, set_name)
    # The choice of logits is left out of the graph, which would make a second gradient of the largest size for it.
    if tuple(logits.shape[:2]) == batch.shape:
        everywhere = torch.zeros_like(logits)
        everywhere[batch.owner, batch.place] = gradient
        gradient = everywhere
    torch.autograd.backward(logits, gradient.view_as(logits))


def refuse(what: str, where: str, batch: Batch, finite: Tensor) -> None:
    """Refuses a batch in which a value of an example is not finite.

    Args:
        what: the value's name at the beginning of a sentence.
        where: what follows the example's row in that sentence.
        batch: B examples.
        finite: bool, shape (B,).

    Raises:
        NotFinite: naming the first such example.
    """
    if not bool(finite.all()):
        row = batch.rows[int((~finite).nonzero()[0])]
        raise NotFinite(what=what, where=f"for row {row} {where}")


def _gradient(logits: Tensor, batch: Batch, set_name: str) -> Tensor:
    """The loss's gradient at the logits, (softmax - one-hot) / counted; same shape and dtype, made in float32.

    It is made in chunks of rows, because a float32 copy of all logits is the largest tensor of a pass.
    """
    gradient = torch.empty_like(logits)
    finite = torch.ones(len(batch.rows), dtype=torch.bool, device=logits.device)
    rows = max(1, _CHUNK // logits.shape[1])
    dtype = torch.promote_types(torch.float32, logits.dtype)
    parts = (torch.split(tensor, rows) for tensor in (logits, gradient, batch.labels, batch.share, batch.owner))
    for scores, result, labels, share, owner in zip(*parts, strict=True):
        probabilities = torch.softmax(scores, dim=-1, dtype=dtype)
        places = labels.unsqueeze(1)
        # One NaN or positive infinity among the scores makes a row's probabilities NaN.
        usable = torch.isfinite(scores.gather(1, places) + probabilities.gather(1, places)).squeeze(1)
        finite[owner[~usable]] = False
        probabilities.scatter_add_(1, places, torch.full_like(places, -1, dtype=dtype))
        torch.mul(probabilities, share.unsqueeze(1), out=probabilities)
        result.copy_(probabilities)
    refuse("The loss", f"of the calibration set {set_name!r}", batch, finite)
    return gradient
