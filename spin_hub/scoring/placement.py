"""Where and in which precision a model runs."""

from collections import Counter
from dataclasses import dataclass

import torch

from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.core.dtypes import EDITABLE, NAMES
from spin_hub.errors.models import DeviceUnavailable
from spin_hub.recipe import Device, DType


@dataclass(frozen=True)
class Placement:
    """The device and the precision in which a model runs."""

    device: torch.device
    dtype: torch.dtype

    @property
    def precision(self) -> str:
        """The precision's name, such as ``bfloat16``."""
        return str(self.dtype).removeprefix("torch.")


def place(device: Device, dtype: DType, index: CheckpointIndex) -> Placement:
    """Where and in which precision a checkpoint's model will run.

    Raises:
        DeviceUnavailable: the device that was asked for is not there.
    """
    return Placement(choose_device(device), choose_dtype(dtype, index))


def choose_device(asked: Device) -> torch.device:
    """The device to run on: ``auto`` takes cuda, else mps, else cpu.

    Raises:
        DeviceUnavailable: the device that was asked for is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked != "auto" and not there[asked]:
        raise DeviceUnavailable(device=asked)
    return torch.device(next(name for name, found in there.items() if found) if asked == "auto" else asked)


def choose_dtype(asked: DType, index: CheckpointIndex) -> torch.dtype:
    """The precision to run in: ``auto`` takes that of most of the checkpoint's weights, float32 for FP8."""
    name = asked
    if asked == "auto":
        bytes_by_type: Counter[str] = Counter()
        for place in index.tensors.values():
            if place.span.dtype in EDITABLE:
                bytes_by_type[place.span.dtype] += place.span.nbytes
        code = bytes_by_type.most_common(1)[0][0] if bytes_by_type else "F32"
        return torch.float32 if code.startswith("F8") else getattr(torch, NAMES[code])
    return getattr(torch, name)  # type: ignore[no-any-return]
