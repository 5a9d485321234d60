"""The importance of weights: ``|W| * sum_i |dL_i/dW|`` (arXiv 2410.16672), over plain tensors.

For a linear map y = x W^T the gradient of one example is ``Delta^T X``, with X the map's input and Delta the
loss's gradient at its output, one row a token; so no weight needs a gradient of its own.
"""

from typing import Final

import torch
from torch import Tensor

_BLOCK: Final = 1024
_ROWS: Final = 1024


def add_absolute_gradient(sums: Tensor, delta: Tensor, inputs: Tensor, scratch: Tensor) -> None:
    """Adds ``|Delta^T X|`` of one example to ``sums``, in place.

    Args:
        sums: shape (out, in); float32, or the model's dtype to compute as the published code does.
        delta: shape (T, out), the loss's gradient at the output of the linear map.
        inputs: shape (T, in), the input of the linear map, same dtype as ``delta``.
        scratch: shape (out, in), dtype of ``delta``; overwritten. Fresh memory for every product would cost
            more than the product where a matrix is large.
    """
    sums.add_(torch.mm(delta.t(), inputs, out=scratch).abs_())


def importance(weight: Tensor, sums: Tensor) -> Tensor:
    """``|W| * sums`` in the dtype of ``sums``, same shape; overwrites ``sums`` and returns it."""
    # In parts, since |W| of a large matrix is large too.
    for part, weights in zip(torch.split(sums, _ROWS), torch.split(weight.detach(), _ROWS), strict=True):
        part.mul_(weights.abs())
    return sums


def top_weights(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` highest scores of a tensor, best first, ties broken by the lower flat index.

    ``torch.topk`` leaves the choice among equal scores open, and is slow on large tensors. Here it only sees the
    maxima of blocks: at least ``count`` scores reach the lowest of the ``count`` highest maxima, so the few
    scores that reach it hold the answer, and a stable sort settles ties.

    Args:
        scores: any shape, finite.
        count: between 0 and ``scores.numel()``.

    Returns:
        Flat row-major indices (int64, shape (count,)) and their scores (same dtype as ``scores``).
    """
    flat = scores.reshape(-1)
    candidates = _candidates(flat, count) if count else torch.empty(0, dtype=torch.int64, device=flat.device)
    values, order = torch.sort(flat[candidates], descending=True, stable=True)
    return candidates[order[:count]], values[:count]


def _candidates(flat: Tensor, count: int) -> Tensor:
    """Ascending places of the scores that reach some score which at least ``count`` of them reach, and not many more.

    Only the blocks whose maximum reaches it are looked into, and what is left behind the last whole block.
    """
    block = max(1, min(_BLOCK, flat.numel() // (4 * count)))
    whole = flat.numel() // block
    blocks = flat[: whole * block].view(whole, block)
    maxima = blocks.amax(dim=1)
    reached = torch.topk(maxima, count, sorted=False).values.amin()
    high = torch.nonzero(maxima >= reached).reshape(-1)
    number, place = torch.nonzero(blocks[high] >= reached, as_tuple=True)
    behind = torch.nonzero(flat[whole * block :] >= reached).reshape(-1) + whole * block
    return torch.cat((high[number] * block + place, behind))
