"""File calls that some systems lack, each with its portable way: reads and writes at an offset, copies in the kernel.

Every call is looked up when it is needed, so that a test can take it away.
"""

import errno
import os
from io import FileIO
from pathlib import Path
from typing import Final

_NO_KERNEL_COPY: Final = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}


def read_at(file: FileIO, size: int, start: int) -> bytearray:
    """Read bytes at an offset; fewer only where the file ends.

    Args:
        file: unbuffered; where its position is afterwards differs between systems.
        size: bytes.
        start: of the first.
    """
    found = bytearray()
    while len(found) < size and (part := _read(file, size - len(found), start + len(found))):
        found += part
    return found


def write_at(file: FileIO, data: bytes | memoryview, start: int) -> None:
    """Write all bytes at an offset; a full disk takes a part without an error, and refuses the rest.

    Args:
        file: unbuffered; where its position is afterwards differs between systems.
        data: one-dimensional bytes.
        start: the offset of the first.
    """
    while data:
        written = _write(file, data, start)
        data, start = data[written:], start + written


def copy_in_kernel(reader: FileIO, writer: FileIO, size: int) -> int | None:
    """Copy bytes from one file's position to another's without passing them through this process.

    Returns:
        How many were copied, 0 at the end of the file; None if this system or file system cannot do it.
    """
    if not hasattr(os, "copy_file_range"):
        return None
    try:
        copied: int = os.copy_file_range(reader.fileno(), writer.fileno(), size)
    except OSError as error:
        if error.errno in _NO_KERNEL_COPY:
            return None
        raise
    return copied


def cache_folder() -> Path:
    """The user's folder for caches: ``$XDG_CACHE_HOME``, or as for the Hub's client ``.cache`` in the home."""
    given = os.environ.get("XDG_CACHE_HOME")
    return Path(given) if given else _home() / ".cache"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        # Neither the environment nor the system knows of one.
        return Path()


def _read(file: FileIO, size: int, start: int) -> bytes:
    if hasattr(os, "pread"):
        part: bytes = os.pread(file.fileno(), size, start)
        return part
    file.seek(start)
    return file.read(size) or b""


def _write(file: FileIO, data: bytes | memoryview, start: int) -> int:
    if hasattr(os, "pwrite"):
        written: int = os.pwrite(file.fileno(), data, start)
        return written
    file.seek(start)
    return file.write(data) or 0
