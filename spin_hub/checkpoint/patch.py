"""Edited copies of a checkpoint: the same files with the bytes of some weights changed in place."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from enum import Enum
from io import FileIO
from pathlib import Path
from threading import Event
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.checkpoint.system import copy_in_kernel, keep_mode, read_at, write_at
from spin_hub.core.delta import ZERO, Delta, TensorEdit
from spin_hub.core.selection import Indices
from spin_hub.errors import DeltaMismatch, OutputNotAllowed

_CHUNK: Final = 1 << 28
_COPIED_AT_ONCE: Final = 4 << 20


def copy_file(source: Path, target: Path, copied: Callable[[int], None] = lambda _: None) -> None:
    """Copy the content of a file, following links, into a new file; :func:`keep_mode` is for its permissions.

    ``copy_file_range`` lets the kernel share the extents (btrfs, XFS and others) or copy without passing the
    bytes through this process; where it does not work, they are read and written in blocks.

    Args:
        source: the file.
        target: the new one.
        copied: called with the number of bytes of every piece; what it raises ends the copy.

    Raises:
        OSError: the source cannot be read or the target not written.
    """
    with source.open("rb", buffering=0) as reader, target.open("wb", buffering=0) as writer:
        while done := copy_in_kernel(reader, writer, _CHUNK):
            copied(done)
        # Both files are where the kernel stopped; some file systems report their end without one byte copied.
        _copy_by_blocks(reader, writer, copied)


def _copy_by_blocks(reader: FileIO, writer: FileIO, copied: Callable[[int], None]) -> None:
    block = memoryview(bytearray(_COPIED_AT_ONCE))
    while count := reader.readinto(block):
        left = block[:count]
        while left:
            left = left[writer.write(left) :]
        copied(count)


_AT_ONCE: Final = 2
_BLOCK: Final = 1 << 18
_DENSE: Final = 64
"""Number of weights in a block from which one write of the whole block is faster than one write per weight."""


class State(Enum):
    """State of a checkpoint at a delta's positions."""

    ORIGINAL = "the base's original values"
    EDITED = f"{ZERO.sentence}: the edit is there already"
    OTHER = "other values"


def state_of(index: CheckpointIndex, delta: Delta) -> State:
    """Read the touched weights and tell their state.

    Raises:
        DeltaMismatch: a tensor is missing, or has another shape or type.
    """
    original = edited = True
    for name, edit in delta.edits.items():
        check_fits(index, name, edit)
        values = index.raw(name, edit.indices)
        original = original and np.array_equal(values, edit.original)
        edited = edited and np.array_equal(values, zeros(edit))
        if not (original or edited):
            return State.OTHER
    return State.ORIGINAL if original else State.EDITED


def check_fits(index: CheckpointIndex, name: str, edit: TensorEdit) -> None:
    """Refuse an edit whose tensor the checkpoint lacks or has in another shape or type.

    Raises:
        DeltaMismatch: naming the tensor.
    """
    place = index.tensors.get(name)
    if place is None:
        raise DeltaMismatch(path=index.folder, why=f"it has no tensor {name}")
    if place.span.shape != edit.shape or place.span.dtype != edit.dtype:
        here, there = (f"{span.dtype} {list(span.shape)}" for span in (place.span, edit))
        raise DeltaMismatch(path=index.folder, why=f"{name} is {here} there, but {there} in the delta")


def zeros(edit: TensorEdit) -> NDArray[np.uint8]:
    """The bytes that the edit writes: every bit 0, which is +0 in every float type; shape (n, itemsize)."""
    return ZERO.write(edit.original)


def originals(edit: TensorEdit) -> NDArray[np.uint8]:
    """The bytes that undo the edit, shape (n, itemsize)."""
    return edit.original


def write_patched_copy(
    index: CheckpointIndex,
    edits: Mapping[str, TensorEdit],
    values: Callable[[TensorEdit], NDArray[np.uint8]],
    target: Path,
    copied: Callable[[int], None],
) -> None:
    """Copy every shard of a checkpoint into ``target`` and write values at the edits' positions.

    Two shards are copied at a time: one thread does not fill a fast disk or the memory behind it.

    Args:
        index: the checkpoint to copy.
        edits: tensor name -> edit; positions are in the checkpoint's own layout.
        values: returns the bytes to write for an edit, shape (n, itemsize): :func:`zeros` or :func:`originals`.
        target: an existing folder.
        copied: called with the number of bytes of every piece, from several threads.

    Raises:
        OSError: the copy could not be written.
    """
    stopped = Event()

    def step(size: int) -> None:
        if stopped.is_set():
            raise InterruptedError("the copy was given up")
        copied(size)

    def write(shard: str) -> None:
        path = target / shard
        copy_file(index.folder / shard, path, step)
        here = [(index.tensors[name].span.start, edit) for name, edit in edits.items()
                if index.tensors[name].shard == shard]  # fmt: skip
        if here:
            with path.open("r+b", buffering=0) as file:
                for start, edit in here:
                    _write(file, start, edit.indices, values(edit))
        # Not before, since a shard may be read-only.
        keep_mode(index.folder / shard, path)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            for done in as_completed([pool.submit(write, shard) for shard in index.shards]):
                done.result()
        except BaseException:
            # Neither an interrupt nor a full disk waits for the shards that are left.
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def copy_others(folder: Path, names: Iterable[str], target: Path) -> None:
    """Copy other files of a model folder, by their names relative to it, sub-folders included.

    Raises:
        OutputNotAllowed: two names differ in case alone, and the target's file system makes one file of both.
    """
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(name.casefold(), name)
        if other != name and (target / name).exists():
            raise OutputNotAllowed(path=target, why=f"its file system makes one file of {other} and {name}")
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        copy_file(folder / name, target / name)
        keep_mode(folder / name, target / name)


def _write(file: FileIO, start: int, indices: Indices, values: NDArray[np.uint8]) -> None:
    """Write single weights, or where they lie densely a block with what lies between them."""
    size = values.shape[1]
    borders = np.flatnonzero(np.diff(indices // (_BLOCK // size))) + 1
    for places, new in zip(np.split(indices, borders), np.split(values, borders), strict=True):
        if len(places) < _DENSE:
            for position, value in zip(places.tolist(), new, strict=True):
                write_at(file, value.tobytes(), start + position * size)
            continue
        first, last = int(places[0]), int(places[-1]) + 1
        block = np.frombuffer(read_at(file, (last - first) * size, start + first * size), np.uint8)
        block.reshape(-1, size)[places - first] = new
        write_at(file, block.data, start + first * size)
