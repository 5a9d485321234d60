"""Products of the scored matrices: ``sum_i |Delta_i^T X_i|`` over the examples' token segments."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from spin_hub.scoring.importance import add_absolute_gradient

Segment = tuple[int, int]
"""The first token of an example among the packed ones, and the first behind it."""

_BLOCK: Final = 1 << 20
"""Elements of a block: with more it leaves the cache between its product and its addition. Products of smaller ones
run further from the machine's peak, so matrices of up to so many elements are made in one."""

_ROWS: Final = 384
"""Rows that a block has at least, however wide the matrix is: flatter products run at half the peak."""


def add_absolute_products(sums: Tensor, left: Tensor, right: Tensor, segments: Sequence[Segment]) -> None:
    """Adds ``|left_i^T right_i|`` of every segment i to ``sums``, in place.

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
            delta = left[start:stop, first : first + height]
            add_absolute_gradient(block, delta, right[start:stop], scratch[: len(block)])
