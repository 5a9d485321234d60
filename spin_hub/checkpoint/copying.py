"""Copies of files, made by the file system where it can share or move the bytes itself."""

import errno
import os
import shutil
from pathlib import Path
from typing import Final

_NOT_HERE: Final = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}
_CHUNK: Final = 1 << 30


def copy_file(source: Path, target: Path) -> None:
    """Copies the content of a file, following links, into a new file with the default permissions.

    ``copy_file_range`` lets the kernel share the extents (btrfs, XFS and others) or copy without passing the
    bytes through this process; where it does not work, the standard library's copy serves.

    Raises:
        OSError: the source cannot be read or the target not written.
    """
    if not (hasattr(os, "copy_file_range") and _copied_by_kernel(source, target)):
        shutil.copyfile(source, target)


def _copied_by_kernel(source: Path, target: Path) -> bool:
    with source.open("rb") as reader, target.open("wb") as writer:
        left = os.fstat(reader.fileno()).st_size
        while left:
            try:
                done = os.copy_file_range(reader.fileno(), writer.fileno(), min(left, _CHUNK))
            except OSError as error:
                if error.errno in _NOT_HERE:
                    return False
                raise
            if not done:
                return False
            left -= done
    return True
