"""An adapter before it is written: what its file will hold, its config, and how large it is."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from numpy.typing import NDArray

from spin_hub.core.dtypes import itemsize

PREFIX: Final = "base_model.model."
"""With which PEFT begins the names of all tensors in its files."""

PeftType: TypeAlias = Literal["SUPERTUNING", "SHIRA", "LORA"]
Array: TypeAlias = NDArray[Any]
Layout: TypeAlias = tuple[str, tuple[int, ...]]
"""A tensor's safetensors code and shape."""


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
