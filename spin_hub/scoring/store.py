"""Tensors kept for later where there is room: on their device, in host memory, or in a file."""

import tempfile
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spin_hub.scoring.memory import EVERYTHING_IN_MEMORY, MemoryBudget

Tier = Literal["device", "host", "file"]


@dataclass
class _Place:
    tier: Tier
    size: int
    device: torch.device
    tensor: Tensor
    offset: int = 0


class Store:
    """Keeps tensors by key; to be used as a context manager, at whose end everything is gone.

    A tensor goes to the first tier that has room: its device, host memory, the file. The file has no name in its
    folder (where the system allows that), so that it is gone even if the process is killed.

    Raises (while keeping):
        OSError: the file cannot be written; ``errno`` says why, such as ``ENOSPC`` for a full disk.
    """

    def __init__(self, room: MemoryBudget = EVERYTHING_IN_MEMORY) -> None:
        self._room = room
        self._places: dict[Hashable, _Place] = {}
        self._used: dict[Tier, int] = {"device": 0, "host": 0, "file": 0}
        self._file: SpillFile | None = None

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places.clear()
        if self._file is not None:
            self._file.close()

    @property
    def used(self) -> dict[Tier, int]:
        """Bytes that are kept now, by tier."""
        return dict(self._used)

    def put(self, key: Hashable, tensor: Tensor) -> None:
        """Keep a tensor under a new key; it must not be changed afterwards."""
        size = tensor.numel() * tensor.element_size()
        tier = self._tier(size, tensor.device)
        place = _Place(tier, size, tensor.device, tensor.detach())
        if tier == "host":
            place.tensor = place.tensor.cpu()
        elif tier == "file":
            if self._file is None:
                self._file = SpillFile(self._room.folder)
            place.offset = self._file.write(_bytes(place.tensor.cpu()))
            place.tensor = torch.empty_like(place.tensor, device="meta")
        self._places[key] = place
        self._used[tier] += size

    def get(self, key: Hashable) -> Tensor:
        """The tensor of a key, on the device that it came from; it must not be changed."""
        place = self._places[key]
        if place.tier != "file":
            return place.tensor.to(place.device)
        assert self._file is not None
        kept = torch.empty(place.tensor.shape, dtype=place.tensor.dtype)
        self._file.read(place.offset, _bytes(kept))
        return kept.to(place.device)

    def take(self, key: Hashable) -> Tensor:
        """The tensor of a key, which is given up."""
        tensor = self.get(key)
        place = self._places.pop(key)
        self._used[place.tier] -= place.size
        if self._file is not None and place.tier == "file":
            self._file.free(place.offset, place.size)
        return tensor

    def _tier(self, size: int, device: torch.device) -> Tier:
        if device.type != "cpu" and self._fits(size, "device", self._room.device):
            return "device"
        return "host" if self._fits(size, "host", self._room.host) else "file"

    def _fits(self, size: int, tier: Tier, limit: int | None) -> bool:
        return limit is None or self._used[tier] + size <= limit


class SpillFile:
    """A nameless file of byte ranges, in which freed ranges are used again by others of their size."""

    def __init__(self, folder: Path | None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self._end = 0
        self._free: dict[int, list[int]] = {}

    def close(self) -> None:
        """Close the file, which removes it."""
        self._file.close()

    def write(self, content: memoryview) -> int:
        """Write bytes; returns where they begin."""
        places = self._free.get(content.nbytes)
        start = places.pop() if places else self._end
        done = 0
        # One call writes at most about two gigabytes, and may write less than that.
        while done < content.nbytes:
            self._file.seek(start + done)
            done += self._file.write(content[done:])
        self._end = max(self._end, start + content.nbytes)
        return start

    def read(self, start: int, content: memoryview) -> None:
        """Fill a buffer with the bytes from a start."""
        done = 0
        while done < content.nbytes:
            self._file.seek(start + done)
            count = self._file.readinto(content[done:])
            if not count:
                raise EOFError(f"The file of kept tensors ends before byte {start + content.nbytes}.")
            done += count

    def free(self, start: int, size: int) -> None:
        """Give a range back."""
        self._free.setdefault(size, []).append(start)


def _bytes(tensor: Tensor) -> memoryview:
    """A contiguous tensor's own memory as bytes."""
    values: NDArray[np.uint8] = tensor.contiguous().view(-1).view(torch.uint8).numpy()
    return values.data
