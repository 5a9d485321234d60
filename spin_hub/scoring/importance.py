"""The importance of weights: ``|W| * sum_i |dL_i/dW|`` (arXiv 2410.16672), over plain tensors.

For a linear map y = x W^T the gradient of one example is ``Delta^T X``, with X the map's input and Delta the
loss's gradient at its output, one row a token; so no weight needs a gradient of its own.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

Segment = tuple[int, int]
"""The first token of an example among the packed ones, and the first behind it."""

_BLOCK: Final = 1 << 20
"""Elements of a block: with more it leaves the cache between its product and its addition. Products of smaller ones
run further from the machine's peak, so smaller matrices are made in one."""

_ROWS: Final = 384
"""Rows that a block has at least, however wide the matrix is: flatter products run at half the peak."""


def add_absolute_products(sums: Tensor, left: Tensor, right: Tensor, segments: Sequence[Segment]) -> None:
    """Add ``|left_i^T right_i|`` of every segment i to ``sums``, in place.

    Tokens outside all segments, such as padding, do not count. A product is rounded to the dtype of ``left`` and
    added in the dtype of ``sums``. It is made in blocks of rows, so that it is still in the cache when it is added.

    Args:
        sums: shape (rows, columns); float32 or better, or the dtype of ``left``.
        left: shape (tokens, rows).
        right: shape (tokens, columns), dtype and device of ``left``.
        segments: within the tokens.
    """
    rows, columns = sums.shape
    height = min(rows, max(_ROWS, _BLOCK // columns))
    scratch = torch.empty(height, columns, dtype=left.dtype, device=left.device)
    for first in range(0, rows, height):
        block = sums[first : first + height]
        for start, stop in segments:
            rows_of_left = left[start:stop, first : first + height].t()
            block.add_(torch.mm(rows_of_left, right[start:stop], out=scratch[: len(block)]).abs_())


def importance(weight: Tensor, sums: Tensor) -> Tensor:
    """``|W| * sums`` in the dtype of ``sums``, same shape; overwrites ``sums`` and returns it."""
    # In parts, since |W| of a large matrix is large too.
    for part, weights in zip(torch.split(sums, 1024), torch.split(weight.detach(), 1024), strict=True):
        part.mul_(weights.abs())
    return sums


def top_weights(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` highest scores of a tensor, best first, ties broken by the lower flat index.

    ``torch.topk`` leaves the order of equal scores open, and is slow on large tensors. Here it only sees the
    maxima of blocks: at least ``count`` scores reach the lowest of the ``count`` highest maxima, so the few
    scores that reach it contain the answer, and a stable sort orders ties.

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
    """Ascending indices of at least ``count`` top scores: a cheap superset of the top ``count``.

    The scores looked at are those of blocks with a high maximum, and those behind the last whole block.
    """
    block = max(1, min(1024, flat.numel() // (4 * count)))
    whole = flat.numel() // block
    blocks = flat[: whole * block].view(whole, block)
    maxima = blocks.amax(dim=1)
    reached = torch.topk(maxima, count, sorted=False).values.amin()
    high = torch.nonzero(maxima >= reached).reshape(-1)
    number, place = torch.nonzero(blocks[high] >= reached, as_tuple=True)
    behind = torch.nonzero(flat[whole * block :] >= reached).reshape(-1) + whole * block
    return torch.cat((high[number] * block + place, behind))
