"""The importance of weights: ``|W| * sum_i |dL_i/dW|`` (arXiv 2410.16672), over plain tensors.

For a linear map y = x W^T the gradient of one example is ``Delta^T X``, with X the map's input and Delta the
loss's gradient at its output, one row a token; so no weight needs a gradient of its own.
"""

import torch
from torch import Tensor


def add_absolute_gradient(sums: Tensor, delta: Tensor, inputs: Tensor) -> None:
    """Adds ``|Delta^T X|`` of one example to ``sums``, in place.

    Args:
        sums: shape (out, in); float32, or the model's dtype to compute as the published code does.
        delta: shape (T, out), the loss's gradient at the output of the linear map.
        inputs: shape (T, in), the input of the linear map, same dtype as ``delta``.
    """
    sums.add_(torch.mm(delta.t(), inputs).abs_())


def importance(weight: Tensor, sums: Tensor) -> Tensor:
    """``|W| * sums`` in the dtype of ``sums``, same shape; overwrites ``sums`` and returns it."""
    return sums.mul_(weight.detach().abs().to(sums.dtype))


def top_weights(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` highest scores of a tensor, best first, ties broken by the lower flat index.

    ``torch.topk`` leaves the order and choice among equal scores open, so it only gives the threshold here.

    Args:
        scores: any shape, finite.
        count: between 0 and ``scores.numel()``.

    Returns:
        Flat row-major indices (int64, shape (count,)) and their scores (same dtype as ``scores``).
    """
    flat = scores.reshape(-1)
    if count == 0:
        return torch.empty(0, dtype=torch.int64, device=flat.device), flat[:0]
    threshold = torch.topk(flat, count, sorted=False).values.min()
    above = torch.nonzero(flat > threshold).reshape(-1)
    equal = torch.nonzero(flat == threshold).reshape(-1)[: count - above.numel()]
    indices = torch.cat([above, equal])
    values, order = torch.sort(flat[indices], descending=True, stable=True)
    return indices[order], values
