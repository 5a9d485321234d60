"""An adapter before it is written: its tensors, its config's own fields, and the negatives that it adds to weights.

w + (-w) is +0.0 in every float type, so a sum gives the very bits that the edit leaves; only NaN and the infinities
have no negative with that property.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spin_hub.core.delta import TensorEdit
from spin_hub.core.dtypes import itemsize, values_of

PREFIX: Final = "base_model.model."
"""With which PEFT begins the names of all tensors in its files."""

PeftType: TypeAlias = Literal["SUPERTUNING", "SHIRA", "LORA"]
Array: TypeAlias = NDArray[Any]
Layout: TypeAlias = tuple[str, tuple[int, ...]]
"""A tensor's safetensors code and shape."""
Raw: TypeAlias = NDArray[np.uint8]

ADDITIVE: Final = ("F32", "BF16", "F16")
"""The types for which adapters are made: PEFT holds its own weights in float32, which has all of their values."""

_ONES: Final = {"F32": 0x3F800000, "BF16": 0x3F80, "F16": 0x3C00}


@dataclass(frozen=True, eq=False)
class Adapter:
    """One adapter.

    Attributes:
        peft_type: PEFT's name of its kind.
        targets: the modules it belongs to, as ``target_modules`` names them.
        settings: the fields of its config that are its kind's own.
        layouts: of its tensors, by name.
        fill: gives the tensors' arrays, by the same names, which may be large.
        rank: of a LoRA, and of SHiRA the figure of that name; None where there is no such thing.
    """

    peft_type: PeftType
    targets: Sequence[str]
    settings: Mapping[str, Any]
    layouts: Mapping[str, Layout]
    fill: Callable[[], Mapping[str, Array]]
    rank: int | None = None

    @property
    def bytes(self) -> int:
        """The size of its tensors; the file has a header beside them."""
        return sum(itemsize(code) * math.prod(shape) for code, shape in self.layouts.values())

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...], Array]]:
        """Name -> (safetensors code, shape, array)."""
        arrays = self.fill()
        return {name: (*layout, arrays[name]) for name, layout in self.layouts.items()}


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
