"""Float tensors as integers, so that every NaN and minus zero is moved as it is."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spin_hub.core.compat import values_of
from spin_hub.core.delta import TensorEdit
from spin_hub.core.dtypes import EDITABLE, NAMES

CODES: Final = {getattr(torch, NAMES[code]): code for code in sorted(EDITABLE)}
"""The float types whose elements can be set one by one, with their safetensors codes."""

_INTEGERS: Final = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def as_bits(tensor: Tensor) -> Tensor:
    """The elements of a contiguous tensor as integers of their width, shape (numel,), in the same memory."""
    return tensor.view(-1).view(_INTEGERS[tensor.element_size()])


def as_bytes(tensor: Tensor) -> NDArray[np.uint8]:
    """The elements of a vector as they would lie in a file: uint8, shape (n, itemsize)."""
    flat: NDArray[np.uint8] = tensor.cpu().contiguous().view(torch.uint8).numpy()
    return flat.reshape(len(tensor), tensor.element_size())


def originals(edit: TensorEdit, dtype: torch.dtype) -> Tensor:
    """The values that an edit overwrites as a model holds them that was loaded in ``dtype``.

    Returns:
        Shape (n,), of that type, on the CPU; in the edit's own type every bit is the file's.
    """
    if CODES[dtype] == edit.dtype:
        return torch.from_numpy(np.array(edit.original).reshape(-1)).view(dtype)
    return torch.from_numpy(values_of(edit.original, edit.dtype)).to(dtype)


def differing(one: Tensor, two: Tensor) -> Tensor:
    """Where two vectors of one type are not the same bits, any NaN being like any other: bool, shape (n,)."""
    both_nan = one.float().isnan() & two.float().isnan()
    return (as_bits(one) != as_bits(two)) & ~both_nan
