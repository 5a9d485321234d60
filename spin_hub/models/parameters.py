"""Elements of a loaded model's parameters, read and set bit by bit: in memory, offloaded to memory, or on disk."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spin_hub.core.delta import TensorEdit
from spin_hub.core.dtypes import EDITABLE, NAMES, values_of
from spin_hub.core.selection import Indices
from spin_hub.errors import NotEditable

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
    """Mark where two vectors of one type differ in their bits, any NaN being like any other: bool, shape (n,)."""
    both_nan = one.float().isnan() & two.float().isnan()
    return (as_bits(one) != as_bits(two)) & ~both_nan


class Overlay(Mapping[str, Tensor]):
    """Stands in for the map from which an offloaded module reads its weights; nothing is written to the disk.

    Args:
        inner: parameter name -> tensor, a new tensor at every reading.
    """

    def __init__(self, inner: Mapping[str, Tensor]) -> None:
        self.inner = inner
        self._replaced: dict[str, dict[int, int]] = {}

    def replace(self, name: str, positions: Tensor, bits: Tensor) -> None:
        """Set elements of a tensor for every later reading.

        Args:
            name: the tensor.
            positions: int64, shape (n,), flat row-major.
            bits: the elements as integers of their width, shape (n,).
        """
        known = self._replaced.setdefault(name, {})
        known.update(zip(positions.tolist(), bits.tolist(), strict=True))

    def __getitem__(self, name: str) -> Tensor:
        tensor = self.inner[name]
        known = self._replaced.get(name)
        if not known:
            return tensor
        # What was read may be a view of the file's pages.
        tensor = tensor.clone(memory_format=torch.contiguous_format)
        bits = as_bits(tensor)
        bits[torch.tensor(list(known))] = torch.tensor(list(known.values()), dtype=bits.dtype)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.inner)

    def __len__(self) -> int:
        return len(self.inner)


class Place(Protocol):
    """Selected elements of one parameter."""

    @property
    def dtype(self) -> torch.dtype:
        """The parameter's type."""
        ...

    def take(self) -> Tensor:
        """The elements, shape (n,), in new memory on the parameter's device."""
        ...

    def put(self, values: Tensor) -> None:
        """Set the elements, shape (n,); in the parameter's own type every bit is kept."""
        ...


@dataclass(frozen=True, eq=False)
class InMemory:
    """Elements of a tensor that is held in memory; see :class:`Place`."""

    weight: Tensor
    positions: Tensor

    @property
    def dtype(self) -> torch.dtype:
        """See :class:`Place`."""
        return self.weight.dtype

    def take(self) -> Tensor:
        """See :class:`Place`."""
        return as_bits(self.weight).index_select(0, self.positions).view(self.dtype)

    def put(self, values: Tensor) -> None:
        """See :class:`Place`."""
        # A model that was loaded in inference mode can only be changed there.
        with torch.inference_mode(self.weight.is_inference()):
            as_bits(self.weight).index_copy_(0, self.positions, as_bits(values.to(self.weight.device, self.dtype)))


@dataclass(frozen=True, eq=False)
class OnDisk:
    """Elements of a tensor that its module reads from the disk for every pass; see :class:`Place`."""

    overlay: Overlay
    key: str
    dtype: torch.dtype
    positions: Tensor

    def take(self) -> Tensor:
        """See :class:`Place`."""
        return as_bits(self.overlay[self.key].contiguous()).index_select(0, self.positions).view(self.dtype)

    def put(self, values: Tensor) -> None:
        """See :class:`Place`."""
        self.overlay.replace(self.key, self.positions, as_bits(values.cpu().to(self.dtype)))


def place(model: nn.Module, name: str, indices: Indices, shape: tuple[int, ...] | None = None) -> Place:
    """Find elements of a parameter in a loaded model.

    Args:
        model: a loaded module, on any devices, offloaded by accelerate or not.
        name: as in ``model.named_parameters()``.
        indices: flat row-major positions, shape (n,), n > 0.
        shape: which the parameter must have.

    Raises:
        NotEditable: the model has no such parameter, or one in which no single element can be set.
    """
    try:
        weight = model.get_parameter(name).detach()
    except AttributeError as error:
        raise NotEditable(what=name, why=_missing(model, name)) from error
    hook, key = _offloading(model, name) if weight.is_meta else (None, "")
    held = weight if hook is None else hook.weights_map[key].detach()
    why = _refusal(held, shape, int(indices[-1])) or _memory_refusal(model, name, weight, held)
    if why:
        raise NotEditable(what=name, why=why)
    positions = torch.tensor(indices, device=held.device)
    # What is kept in memory is found there again; from the disk every reading is a new tensor.
    if hook is None or held.data_ptr() == hook.weights_map[key].data_ptr():
        return InMemory(held, positions)
    if not isinstance(hook.weights_map, Overlay):
        hook.weights_map = Overlay(hook.weights_map)
    return OnDisk(hook.weights_map, key, held.dtype, positions)


def _missing(model: nn.Module, name: str) -> str:
    parent = name.rpartition(".")[0]
    try:
        module = model.get_submodule(parent)
    except AttributeError:
        return "the model has no such parameter"
    return f"its module, a {type(module).__name__}, has no such parameter (it may be quantised or wrapped)"


def _refusal(weight: Tensor, shape: tuple[int, ...] | None, last: int) -> str | None:
    """The reason why the positions up to ``last`` of a parameter mean nothing, or None if they can be set."""
    # Quantised and distributed tensors are sub-classes that claim a float type.
    if type(weight) is not Tensor:
        return f"it is a {type(weight).__name__}, not a plain tensor"
    if weight.dtype not in CODES:
        return f"its elements are {weight.dtype}, not floats"
    if shape is not None and tuple(weight.shape) != shape:
        return f"its shape is {tuple(weight.shape)}, the delta's {shape}"
    return f"its shape {tuple(weight.shape)} does not hold the position {last}" if last >= weight.numel() else None


def _memory_refusal(model: nn.Module, name: str, weight: Tensor, held: Tensor) -> str | None:
    """The reason why the memory that holds a parameter cannot be changed, or None if it can."""
    if held.is_meta:
        return "its values are not in memory (the model is on the device meta)"
    if not held.is_contiguous():
        return "it does not lie in memory row by row"
    tied: Mapping[str, str] = getattr(model, "all_tied_weights_keys", None) or {}
    if weight.is_meta and name in {*tied, *tied.values()}:
        return "it is offloaded, and tied to another parameter that would keep its values"
    return "what is offloaded has another shape or type" if _layout(held) != _layout(weight) else None


def _layout(tensor: Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def _offloading(model: nn.Module, name: str) -> tuple[Any, str]:
    """The hook of accelerate that brings a parameter in, and the parameter's name there; None if there is none."""
    parts = name.split(".")
    for depth in range(len(parts) - 1, -1, -1):
        module = model.get_submodule(".".join(parts[:depth]))
        key = ".".join(parts[depth:])
        for hook in _hooks(module):
            if getattr(hook, "offload", False) and hook.weights_map is not None and key in hook.weights_map:
                return hook, key
    return None, ""


def _hooks(module: nn.Module) -> Iterator[Any]:
    hook = getattr(module, "_hf_hook", None)
    if hook is not None:
        yield from getattr(hook, "hooks", (hook,))
