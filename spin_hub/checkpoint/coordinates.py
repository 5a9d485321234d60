"""Parameters in memory and tensors on disk: are they the same, bit by bit?"""

import torch
from safetensors import safe_open
from torch import Tensor

from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.core.dtypes import EDITABLE
from spin_hub.errors import CoordinatesDiffer


def check_identity(index: CheckpointIndex, parameter: str, weight: Tensor) -> None:
    """Refuses a parameter that is not the checkpoint's tensor of the same name, in its dtype in memory.

    Args:
        index: the checkpoint.
        parameter: the name in memory.
        weight: the value in memory, on any device.

    Raises:
        CoordinatesDiffer: the tensor is missing, or has another type, shape or values.
    """
    place = index.tensors.get(parameter)
    if place is None:
        raise CoordinatesDiffer(parameter=parameter, why="no tensor there has this name")
    if place.span.dtype not in EDITABLE:
        raise CoordinatesDiffer(parameter=parameter, why=f"its type there is {place.span.dtype}")
    if place.span.shape != tuple(weight.shape):
        why = f"its shape there is {list(place.span.shape)} instead of {list(weight.shape)}"
        raise CoordinatesDiffer(parameter=parameter, why=why)
    with safe_open(index.folder / place.shard, framework="pt") as file:
        stored = file.get_tensor(parameter).to(weight.dtype)
    if not torch.equal(_bits(stored), _bits(weight.detach().cpu())):
        raise CoordinatesDiffer(parameter=parameter, why="its values there are not those in memory")


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(torch.uint8)
