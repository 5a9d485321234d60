"""One shard of an edited model against the base's with the delta's bytes changed, in one pass and without a copy."""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from spin_hub.checkpoint.header import START, Header, TensorSpan, header_size, parse_header
from spin_hub.checkpoint.store import Content, in_blocks
from spin_hub.core.delta import TensorEdit
from spin_hub.errors import CorruptFile, DeltaMismatch


@dataclass(frozen=True)
class Place:
    """An element by its tensor and flat position or, without a tensor, an offset in the shard's header."""

    tensor: str | None
    index: int

    def __str__(self) -> str:
        return f"{self.tensor}[{self.index:,}]" if self.tensor else f"byte {self.index:,} of the header"


class PatchMap:
    """A delta's elements in the bytes of one shard, found in any piece of it.

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
        """Return the first byte of every touched element, and the one after its last; shape (n,), sorted."""
        sizes = [edit.original.shape[1] for _, edit, _ in self._edits]
        starts = [span.start + edit.indices * size for (span, edit, _), size in zip(self._edits, sizes, strict=True)]
        ends = [start + size for start, size in zip(starts, sizes, strict=True)]
        return _joined(starts), _joined(ends)

    def patched(self, piece: bytearray, start: int) -> tuple[bytearray, list[Place]]:
        """Return a piece of the base's shard with the edit, and touched elements without the delta's originals.

        Args:
            piece: the base's bytes from ``start`` on; copied if the edit changes something.
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
        """Return the element at a byte of the shard."""
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
    """Return the entries of an edit with bytes between two offsets of the shard."""
    size = edit.original.shape[1]
    first = np.searchsorted(edit.indices, (start - span.start - size) // size + 1)
    last = np.searchsorted(edit.indices, -((span.start - end) // size))
    return np.arange(int(first), int(last))


def _joined(arrays: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *arrays])


@dataclass(frozen=True)
class Sides:
    """The base's shard and the edited one.

    Attributes:
        shard: its name.
        size: of both, in bytes.
        base: the base's content.
        edited: the edited content, or None if its digest is known, or there is nothing to compare.
        hashed: compute the base's own sha256.
        digested: compute the sha256 of the patched base.
    """

    shard: str
    size: int
    base: Callable[[], Content]
    edited: Callable[[], Content] | None = None
    hashed: bool = True
    digested: bool = False


@dataclass
class Proof:
    """The result of one pass over a shard.

    Attributes:
        base_sha256: of the base's shard, if requested.
        patched_sha256: of the base's shard with the delta's bytes changed, if requested.
        bytes_differ: how many bytes of the edited shard are not those.
        first: the element of the first of them.
        wrong: touched elements at which the base does not hold the delta's original, the first of every tensor.
        found: the tensors of the delta that the shard holds.
    """

    base_sha256: str | None = None
    patched_sha256: str | None = None
    bytes_differ: int = 0
    first: Place | None = None
    wrong: dict[str | None, Place] = field(default_factory=dict)
    found: frozenset[str] = frozenset()


def prove_shard(
    sides: Sides, edits: Mapping[str, TensorEdit], helper: ThreadPoolExecutor, read: Callable[[int], None]
) -> Proof:
    """Read a shard of the base once, block by block, and the edited one beside it.

    Args:
        sides: what is compared.
        edits: the delta's, of this and other shards.
        helper: computes the digest of the base meanwhile.
        read: called with the number of bytes of every block; an error that it raises ends the pass.

    Raises:
        CorruptFile: the base's shard is damaged.
        DeltaMismatch: a tensor has another shape or type than in the delta.
        OSError: a file cannot be read.
    """
    blocks = in_blocks(sides.base())
    head, raw = _head(sides, blocks)
    header = parse_header(sides.shard, raw, sides.size)
    touched = PatchMap(header, edits, sides.shard)
    proof = Proof(found=touched.tensors)
    others = in_blocks(sides.edited()) if sides.edited else None
    own, changed = hashlib.sha256(), hashlib.sha256()
    at = 0
    for block in chain(in_blocks([head]), blocks):
        hashing = helper.submit(own.update, block) if sides.hashed else None
        try:
            patched, wrong = touched.patched(block, at)
            for place in wrong:
                proof.wrong.setdefault(place.tensor, place)
            if sides.digested:
                changed.update(patched)
            if others is not None:
                _compare(proof, touched, (patched, next(others, bytearray())), at)
        finally:
            # The next block may take the place of this one.
            if hashing:
                hashing.result()
        at += len(block)
        read(len(block))
    if at != sides.size:
        raise CorruptFile(path=sides.shard, why=f"it ended after {at:,} of {sides.size:,} bytes")
    proof.base_sha256 = own.hexdigest() if sides.hashed else None
    proof.patched_sha256 = changed.hexdigest() if sides.digested else None
    return proof


def _head(sides: Sides, blocks: Iterator[bytearray]) -> tuple[bytearray, bytes]:
    """Return the first blocks, as many as hold the header, and the bytes before the tensors."""
    head = bytearray(next(blocks, b""))
    end = header_size(sides.shard, bytes(head[:START]), sides.size)
    while len(head) < end:
        more = next(blocks, None)
        if more is None:
            raise CorruptFile(path=sides.shard, why=f"it ended after {len(head):,} of {sides.size:,} bytes")
        head += more
    return head, bytes(head[:end])


def _compare(proof: Proof, touched: PatchMap, blocks: tuple[bytearray, bytearray], at: int) -> None:
    expected, found = blocks
    if expected == found:
        return
    length = min(len(expected), len(found))
    differs = np.frombuffer(expected, np.uint8)[:length] != np.frombuffer(found, np.uint8)[:length]
    if proof.first is None:
        proof.first = touched.place_at(at + (int(np.argmax(differs)) if differs.any() else length))
    proof.bytes_differ += int(differs.sum()) + abs(len(expected) - len(found))
