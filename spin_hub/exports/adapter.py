"""An adapter and its two files: the config, written by PEFT's own classes, and the tensors.

w + (-w) is +0.0 in every float type, so a sum has the very bits that the edit leaves; only NaN and the infinities
have no negative with that property.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spin_hub.artifacts.container import write_tensors
from spin_hub.core.delta import TensorEdit
from spin_hub.core.dtypes import itemsize, values_of
from spin_hub.errors import MissingDependency, SpinHubError
from spin_hub.kinds import ADAPTER_FILES

PREFIX: Final = "base_model.model."
"""With which PEFT begins the names of all tensors in its files."""

PeftType: TypeAlias = Literal["SUPERTUNING", "SHIRA", "LORA"]
Array: TypeAlias = NDArray[Any]
Layout: TypeAlias = tuple[str, tuple[int, ...]]
"""A tensor's safetensors code and shape."""
Raw: TypeAlias = NDArray[np.uint8]

ADDITIVE: Final = ("F32", "BF16", "F16")
"""The types for which adapters are made: PEFT holds its own weights in float32, which has all of their values."""

CONFIG, WEIGHTS = ADAPTER_FILES

_CLASSES: Final[Mapping[PeftType, str]] = {
    "SUPERTUNING": "SupertuningConfig",
    "SHIRA": "ShiraConfig",
    "LORA": "LoraConfig",
}
SINCE: Final[Mapping[PeftType, str]] = {"SUPERTUNING": "0.21", "SHIRA": "0.17"}
"""The version of PEFT that brought a type; LoRA is in all."""

_ONES: Final = {"F32": 0x3F800000, "BF16": 0x3F80, "F16": 0x3C00}


@dataclass(frozen=True, eq=False)
class Adapter:
    """One adapter.

    Attributes:
        peft_type: PEFT's name of its kind.
        targets: the modules it belongs to, as ``target_modules`` names them.
        settings: the fields of its config that are its kind's own.
        layouts: of its tensors, by name.
        fill: returns the tensors' arrays by name, which may be large.
        rank: of a LoRA, and of SHiRA the figure of that name; None of other types.
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
    """The reason why no sum makes an edit's weights zero, as the end of a sentence, or None."""
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


def config_class(peft_type: PeftType) -> Any:
    """PEFT's class for the config of a type of adapter.

    Raises:
        MissingDependency: PEFT is not installed.
        SpinHubError: this version of it lacks the type.
    """
    if find_spec("peft") is None:
        raise MissingDependency(package="peft", command='pip install "spin-hub[peft]"')
    import peft

    found = getattr(peft, _CLASSES[peft_type], None)
    if found is None:
        otherwise = ", or use --peft-type shira" if peft_type == "SUPERTUNING" else ""
        try:
            installed = version("peft")
        except PackageNotFoundError:
            installed = "of an unknown version"
        raise SpinHubError(
            f"peft {installed}, which is installed, has no adapters of type {peft_type}.",
            hint=f"Install peft {SINCE.get(peft_type, '')} or newer{otherwise}.",
        )
    return found


def write_config(folder: Path, adapter: Adapter, base: str, revision: str | None) -> None:
    """Write the config of an adapter; equal adapters have equal files.

    Args:
        folder: that of the adapter.
        adapter: what the config is of.
        base: what ``base_model_name_or_path`` says.
        revision: the base's commit.

    Raises:
        MissingDependency, SpinHubError: as :func:`config_class`.
        OSError: the file cannot be written.
    """
    config = config_class(adapter.peft_type)(
        base_model_name_or_path=base,
        revision=revision,
        task_type="CAUSAL_LM",
        inference_mode=True,
        target_modules=list(adapter.targets),
        **adapter.settings,
    )
    # PEFT makes a set of the names, whose order in the file would differ from process to process.
    config.target_modules = sorted(adapter.targets)
    config.save_pretrained(str(folder))


def write_weights(folder: Path, adapter: Adapter) -> None:
    """Write the tensors of an adapter; equal adapters have equal files.

    Raises:
        OSError: the file cannot be written.
    """
    write_tensors(folder / WEIGHTS, adapter.tensors(), {"format": "pt"})
