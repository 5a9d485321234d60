"""The device and the precision in which a model runs, and why."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import torch

from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.core.dtypes import EDITABLE, NAMES
from spin_hub.errors import DeviceUnavailable, PrecisionUnavailable
from spin_hub.models.speed import Speed, Speeds, Unusable, speeds
from spin_hub.recipe import Device, DType

SLOW: Final = 4.0
"""The factor from which a requested precision counts as slow beside another one, so that a note says so."""

MARGIN: Final = 1.25
"""The factor by which float32 must be faster to be taken in place of the checkpoint's own precision."""

_DEVICES: Final = {"cpu": "the processor", "cuda": "the GPU", "mps": "the Apple GPU"}


_GROUP: Final = Path("/sys/fs/cgroup")
_GROUPS: Final = (
    (_GROUP / "memory.max", _GROUP / "memory.current"),
    (_GROUP / "memory/memory.limit_in_bytes", _GROUP / "memory/memory.usage_in_bytes"),
)

_SPARE: Final = 0.9
"""The share of what is free that is used where no limit is given."""


@dataclass(frozen=True)
class Placement:
    """The device and the precision in which a model runs.

    Attributes:
        why: the reason for the precision without figures, which a record keeps: equal on every run of one machine.
        figures: measured speeds that led to it, or an empty text.
        faster: the fastest other precision, where this one was asked for and is at least four times slower.
        slower: how many times slower it is.
    """

    device: torch.device
    dtype: torch.dtype
    why: str = "as requested"
    figures: str = ""
    faster: torch.dtype | None = None
    slower: float = 1.0

    @property
    def precision(self) -> str:
        """The precision's name, such as ``bfloat16``."""
        return name_of(self.dtype)

    @property
    def sentence(self) -> str:
        """One line on device, precision and reason."""
        figures = f" ({self.figures})" if self.figures else ""
        return f"Runs in {self.precision} on {_DEVICES[self.device.type]}: {self.why}{figures}."


def place(device: Device, dtype: DType, index: CheckpointIndex) -> Placement:
    """Choose where and in which precision a checkpoint's model runs.

    Args:
        device: ``auto`` takes cuda, else mps, else cpu.
        dtype: ``auto`` takes the precision of most of the checkpoint's weights where the device is fast at it, else
            float32; it never takes float16, in which gradients overflow.
        index: the checkpoint.

    Raises:
        DeviceUnavailable: the device is not there, or computes nothing.
        PrecisionUnavailable: the device cannot compute in the precision that was asked for.
    """
    where = choose_device(device)
    automatic = _automatic(where, index)
    # The record of an automatic choice names the precision: asked for by name, it is taken for the same reason.
    if dtype == "auto" or getattr(torch, dtype) == automatic.dtype:
        return automatic
    return _requested(where, getattr(torch, dtype), index)


def choose_device(asked: Device) -> torch.device:
    """The device to run on: ``auto`` takes cuda, else mps, else cpu.

    Raises:
        DeviceUnavailable: the device that was asked for is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked != "auto" and not there[asked]:
        raise DeviceUnavailable(device=asked, why="this machine has none, or PyTorch cannot use it")
    return torch.device(next(name for name, found in there.items() if found) if asked == "auto" else asked)


def stored_dtype(index: CheckpointIndex) -> torch.dtype:
    """The precision of most of the checkpoint's weights; float32 for FP8, in which nothing is computed."""
    code = _code(index)
    own: torch.dtype = torch.float32 if code.startswith("F8") else getattr(torch, NAMES[code])
    return own


def name_of(dtype: torch.dtype) -> str:
    """A precision's name, such as ``bfloat16``."""
    return str(dtype).removeprefix("torch.")


def _code(index: CheckpointIndex) -> str:
    bytes_by_type: Counter[str] = Counter()
    for place in index.tensors.values():
        if place.span.dtype in EDITABLE:
            bytes_by_type[place.span.dtype] += place.span.nbytes
    return bytes_by_type.most_common(1)[0][0] if bytes_by_type else "F32"


def _automatic(device: torch.device, index: CheckpointIndex) -> Placement:
    stored, code = stored_dtype(index), _code(index)
    if code.startswith("F8"):
        return Placement(device, torch.float32, "FP8 stores weights and computes nothing")
    if stored == torch.float16:
        return Placement(device, torch.float32, "the checkpoint's float16 would let gradients overflow")
    if stored == torch.float32:
        return Placement(device, stored, "the checkpoint's precision")
    return _measured(device, stored)


def _measured(device: torch.device, stored: torch.dtype) -> Placement:
    """The checkpoint's precision where the device computes in it, and is fast at it if it is half precision."""
    known = speeds(device, {stored, torch.float32})
    plain, own = known[torch.float32], known[stored]
    if isinstance(own, Unusable):
        if isinstance(plain, Unusable):
            raise DeviceUnavailable(device=device.type, why=plain.why)
        return Placement(device, torch.float32, f"{_DEVICES[device.type]} cannot compute in {name_of(stored)}")
    if stored.itemsize < 4 and isinstance(plain, Speed) and plain.scoring > MARGIN * own.scoring:
        why = f"{name_of(stored)}, the checkpoint's precision, is slower here"
        return Placement(device, torch.float32, why, _figures(known, (stored, torch.float32)))
    return Placement(device, stored, "the checkpoint's precision", _figures(known, (stored, torch.float32)))


def _requested(device: torch.device, dtype: torch.dtype, index: CheckpointIndex) -> Placement:
    alternatives = {torch.float32, stored_dtype(index)} - {torch.float16, torch.float64, dtype}
    known = speeds(device, {dtype, *alternatives})
    own = known[dtype]
    if isinstance(own, Unusable):
        raise PrecisionUnavailable(dtype=name_of(dtype), device=_DEVICES[device.type], why=own.why)
    usable = {other: speed for other in alternatives if isinstance(speed := known[other], Speed)}
    best = max(usable, key=lambda other: usable[other].scoring, default=None)
    if best is None or usable[best].scoring < SLOW * own.scoring:
        return Placement(device, dtype)
    slower = usable[best].scoring / own.scoring
    figures = f"{slower:,.0f} times slower here than {name_of(best)}; {_figures(known, (dtype, best))}"
    return Placement(device, dtype, "as requested", figures, best, slower)


def _figures(known: Speeds, dtypes: tuple[torch.dtype, torch.dtype]) -> str:
    """The speeds of two precisions, such as ``bfloat16 2.4, float32 141 GFLOP/s``."""
    entries = [
        f"{name_of(dtype)} {speed.scoring / 1e9:,.3g}" for dtype in dtypes if isinstance(speed := known[dtype], Speed)
    ]
    return ", ".join(entries) + " GFLOP/s"


def is_mapped(where: Placement, stored: torch.dtype) -> bool:
    """True if transformers maps the shards into memory as they are: on a CPU, in the checkpoint's own precision."""
    return where.device.type == "cpu" and where.dtype == stored


def is_widened(where: Placement, stored: torch.dtype) -> bool:
    """True if weights can be mapped as they are and widened while they are used; see ``models/widening.py``."""
    return where.device.type == "cpu" and where.dtype == torch.float32 and stored in (torch.bfloat16, torch.float16)


def free_memory(device: torch.device) -> int | None:
    """Bytes of the memory that is free now which may be used, or None if the device cannot be asked."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * _SPARE)
    if device.type != "cpu":
        return None
    limit, used = container_memory()
    free = psutil.virtual_memory().available
    return int((free if limit is None else min(free, max(0, limit - used))) * _SPARE)


def container_memory() -> tuple[int | None, int]:
    """Bytes that the control group of this process may use, None if it has no limit, and bytes that it uses."""
    for limit, used in _GROUPS:
        with suppress(OSError, ValueError):
            return int(limit.read_text("ascii")), int(used.read_text("ascii"))
    return None, 0
