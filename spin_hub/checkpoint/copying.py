"""Copies of files, made by the file system where it can share or move the bytes itself."""

from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Final

from spin_hub.checkpoint.system import copy_in_kernel

_CHUNK: Final = 1 << 28
_BLOCK: Final = 4 << 20


def copy_file(source: Path, target: Path, copied: Callable[[int], None] = lambda _: None) -> None:
    """Copies the content of a file, following links, into a new file with the default permissions.

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
    block = memoryview(bytearray(_BLOCK))
    while count := reader.readinto(block):
        left = block[:count]
        while left:
            left = left[writer.write(left) :]
        copied(count)
