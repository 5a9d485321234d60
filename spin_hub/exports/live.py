"""A delta as weight patches in checkpoint coordinates, which an inference server can take while it runs."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.core.dtypes import NAMES

_INT32: Final = 2**31


class WeightPatch(NamedTuple):
    """Some elements of one tensor of a checkpoint, and what they become.

    The fields are those of vLLM's ``CheckpointWeightPatch``, in its order, so ``CheckpointWeightPatch(*patch)``.

    Attributes:
        name: the tensor in the checkpoint.
        shape: of the whole tensor.
        dtype: of the tensor and of ``values``.
        values: shape (n,).
        indices: int32, int64 where the tensor has 2**31 elements or more; shape (n,), flat row-major, sorted, unique.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    values: Tensor
    indices: Tensor


def weight_patches(delta: Delta, undo: bool = False) -> Iterator[WeightPatch]:
    """A delta as one patch for every tensor that it touches, on the CPU.

    Args:
        delta: the delta.
        undo: give the base's own values instead of zeros.
    """
    for name, edit in delta.edits.items():
        if len(edit.indices):
            dtype = getattr(torch, NAMES[edit.dtype])
            values = _originals(edit).view(dtype) if undo else torch.zeros(len(edit.indices), dtype=dtype)
            yield WeightPatch(name, edit.shape, dtype, values, _indices(edit))


def _originals(edit: TensorEdit) -> Tensor:
    return torch.from_numpy(np.array(edit.original).reshape(-1))


def _indices(edit: TensorEdit) -> Tensor:
    size = int(np.prod(edit.shape, dtype=np.int64))
    return torch.from_numpy(edit.indices.astype(np.int32 if size < _INT32 else np.int64))
