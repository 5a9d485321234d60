"""Parameters in memory and tensors on disk: what they are called there, and whether they are the same, bit by bit."""

from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.core.dtypes import EDITABLE
from spin_hub.errors import CoordinatesDiffer, NotEditable


def check_identity(index: CheckpointIndex, parameter: str, weight: Tensor) -> None:
    """Refuse a parameter that is not the checkpoint's tensor of the same name, in its dtype in memory.

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


def parameter_of(model: Any, tensor: str) -> str:
    """The parameter of a loaded model that holds a checkpoint tensor with its elements in order.

    Args:
        model: a loaded module; transformers keeps in it how it turned the checkpoint's names into its own.
        tensor: the name in the checkpoint.

    Returns:
        The name in ``model.named_parameters()``; the tensor's own where the model does not have it under another.

    Raises:
        NotEditable: transformers joins, splits or turns the tensor as it loads it.
    """
    conversions = getattr(model, "_weight_conversions", None) or []
    if not conversions and _has(model, tensor):
        return tensor
    from transformers.core_model_loading import WeightConverter, rename_source_key

    converters = [entry for entry in conversions if isinstance(entry, WeightConverter)]
    renamings = [entry for entry in conversions if not isinstance(entry, WeightConverter)]
    parameters = dict(model.named_parameters())
    prefix = getattr(model, "base_model_prefix", None)
    name, converter = rename_source_key(tensor, renamings, converters, prefix, parameters)
    if converter is not None:
        raise NotEditable(what=tensor, why=f"transformers makes it a part of {name} in another form")
    return str(name) if name in parameters else tensor


def _has(model: Any, name: str) -> bool:
    try:
        model.get_parameter(name)
    except AttributeError:
        return False
    return True


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(torch.uint8)
