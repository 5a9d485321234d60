"""What has to be added to weights so that they become zero: their negatives, as bytes.

w + (-w) is +0.0 in every float type, so a sum gives the very bits that the edit leaves; only NaN and the infinities
have no negative with that property.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from spin_hub.core.compat import values_of
from spin_hub.core.delta import TensorEdit

ADDITIVE: Final = ("F32", "BF16", "F16")
"""The types for which adapters are made: PEFT holds its own weights in float32, which has all of their values."""

_ONES: Final = {"F32": 0x3F800000, "BF16": 0x3F80, "F16": 0x3C00}

Raw = NDArray[np.uint8]


def refusal(edit: TensorEdit) -> str | None:
    """Why no sum undoes an edit's weights, as the end of a sentence; None where one does."""
    if edit.dtype not in ADDITIVE:
        return f"its weights are {edit.dtype}, and adapters are made for {', '.join(ADDITIVE)}"
    if not np.isfinite(values_of(edit.original, edit.dtype)).all():
        return "a touched weight is not finite, so that nothing added to it gives zero"
    return None


def negated(edit: TensorEdit) -> Raw:
    """The negatives of the base's values, uint8, shape (n, itemsize), little-endian.

    Args:
        edit: of a type in :data:`ADDITIVE`.
    """
    values = edit.original.copy()
    values[:, -1] ^= 0x80
    return values


def one(dtype: str) -> Raw:
    """The element 1, uint8, shape (itemsize,), little-endian.

    Args:
        dtype: a type in :data:`ADDITIVE`.
    """
    code = "<u4" if dtype == "F32" else "<u2"
    return np.frombuffer(np.array(_ONES[dtype], code).tobytes(), np.uint8)
