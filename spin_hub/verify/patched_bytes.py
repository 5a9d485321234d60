"""The places of a delta in the bytes of one shard, found again in any piece of it."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spin_hub.checkpoint.header import Header, TensorSpan
from spin_hub.core.delta import TensorEdit
from spin_hub.errors import DeltaMismatch


@dataclass(frozen=True)
class Place:
    """An element: its tensor and flat position; without a tensor, an offset in the shard's header."""

    tensor: str | None
    index: int

    def __str__(self) -> str:
        return f"{self.tensor}[{self.index:,}]" if self.tensor else f"byte {self.index:,} of the header"


class Touched:
    """The places of a delta in one shard.

    Args:
        header: of the shard.
        edits: of the tensors that it holds, and perhaps of others.
        label: of the model, for an error.

    Attributes:
        tensors: of the delta that the shard holds.

    Raises:
        DeltaMismatch: a tensor has another shape or type than in the delta.
    """

    def __init__(self, header: Header, edits: Mapping[str, TensorEdit], label: str) -> None:
        here = [(span, edits[name], name) for name, span in header.spans.items() if name in edits]
        for span, edit, name in here:
            if (span.shape, span.dtype) != (edit.shape, edit.dtype):
                there, known = (f"{part.dtype} {list(part.shape)}" for part in (span, edit))
                raise DeltaMismatch(path=label, why=f"{name} is {there} there, but {known} in the delta")
        self.tensors = frozenset(header.spans.keys() & edits.keys())
        self._edits = here
        self._spans = list(header.spans.items())
        self._ends = [span.start + span.nbytes for _, span in self._spans]
        self._ends_here = [span.start + span.nbytes for span, _, _ in here]

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first byte of every touched element, and the one after its last; shape (n,), sorted."""
        sizes = [edit.original.shape[1] for _, edit, _ in self._edits]
        starts = [span.start + edit.indices * size for (span, edit, _), size in zip(self._edits, sizes, strict=True)]
        ends = [start + size for start, size in zip(starts, sizes, strict=True)]
        return _joined(starts), _joined(ends)

    def patched(self, piece: bytearray, start: int) -> tuple[bytearray, list[Place]]:
        """A piece of the base's shard as the edit makes it, and touched elements that are not the delta's originals.

        Args:
            piece: the base's bytes from ``start`` on; a new one is given where the edit changes something.
            start: its place in the shard.

        Returns:
            The piece, and of every tensor the first element that differs.
        """
        wrong, result = [], piece
        for span, edit, name in self._overlapping(start, start + len(piece)):
            elements = _elements(span, edit, start, start + len(piece))
            if not len(elements):
                continue
            size = edit.original.shape[1]
            at = (span.start - start + edit.indices[elements] * size)[:, None] + np.arange(size)
            # An element may lie across the border of two pieces.
            within = (at >= 0) & (at < len(piece))
            there = np.frombuffer(piece, np.uint8)[np.where(within, at, 0)]
            differs = ((there != edit.original[elements]) & within).any(axis=1)
            if differs.any():
                wrong.append(Place(name, int(edit.indices[elements[np.argmax(differs)]])))
            result = bytearray(piece) if result is piece else result
            np.frombuffer(result, np.uint8)[at[within]] = 0
        return result, wrong

    def place_at(self, offset: int) -> Place:
        """What lies at a byte of the shard."""
        number = bisect_left(self._ends, offset + 1)
        if number == len(self._spans) or offset < self._spans[number][1].start:
            return Place(None, offset)
        name, span = self._spans[number]
        elements = max(int(np.prod(span.shape)), 1)
        return Place(name, (offset - span.start) * elements // span.nbytes)

    def _overlapping(self, start: int, end: int) -> Iterator[tuple[TensorSpan, TensorEdit, str]]:
        for number in range(bisect_left(self._ends_here, start + 1), len(self._edits)):
            if self._edits[number][0].start >= end:
                return
            yield self._edits[number]


def _elements(span: TensorSpan, edit: TensorEdit, start: int, end: int) -> NDArray[np.int64]:
    """Which entries of an edit have bytes between two places of the shard."""
    size = edit.original.shape[1]
    first = np.searchsorted(edit.indices, (start - span.start - size) // size + 1)
    last = np.searchsorted(edit.indices, -((span.start - end) // size))
    return np.arange(int(first), int(last))


def _joined(arrays: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *arrays])
