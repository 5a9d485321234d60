"""Differences between operating systems in files and processes, each with its portable way.

Windows refuses to rename or remove a file that is open or mapped, and keeps some names for devices; some systems lack
reads and writes at an offset, or copies within the kernel. Calls are looked up when they are needed, so that a test can
take one away.
"""

import errno
import os
import re
import stat
import time
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_NO_KERNEL_COPY: Final = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}
WINDOWS: Final = os.name == "nt"

IN_USE: Final = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT} | ({errno.EACCES} if WINDOWS else set())
"""Codes of a folder that cannot be removed because another process adds, removes or holds files in it."""

_DEVICES: Final = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])", re.IGNORECASE)
_WAITS: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between tries of a renaming on Windows, where virus scanners and indexers open new files for a moment."""


def is_device(name: str) -> bool:
    """True if Windows keeps a file name for a device, with any ending: ``NUL``, ``con.json``."""
    return _DEVICES.fullmatch(name.partition(".")[0].rstrip()) is not None


def name_problem(name: str) -> str | None:
    """The reason why this system refuses a file name, as the end of a sentence, or None."""
    if not WINDOWS:
        return None
    if is_device(name):
        return f"Windows keeps the name {name} for a device"
    if found := re.search(r'[<>:"/\\|?*\x00-\x1f]', name):
        return f"Windows allows no {found[0]!r} in a name"
    return "Windows drops dots and spaces at the end of a name" if name != name.rstrip(". ") else None


def renamed(rename: Callable[[], object]) -> None:
    """Renames, and on Windows tries again for a moment while another program holds the file.

    Args:
        rename: does it.

    Raises:
        OSError: as the last try.
    """
    for seconds in _WAITS if WINDOWS else ():
        try:
            rename()
        except PermissionError:
            time.sleep(seconds)
        else:
            return
    rename()


def read_only_array(path: Path, dtype: str, start: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """An array that lies in a file: a map of it, or on Windows a copy, since a mapped file could not be replaced.

    Args:
        path: the file.
        dtype: of the elements.
        start: the offset of the first byte.
        shape: of the array, which is not empty.
    """
    if not WINDOWS:
        return np.memmap(path, dtype, "r", start, shape)
    array = np.fromfile(path, dtype, int(np.prod(shape)), offset=start).reshape(shape)
    array.flags.writeable = False
    return array


def system_error(code: int, text: str, path: Path) -> OSError:
    """The exception for an error code that a library reports as the system gave it: an errno, on Windows a winerror."""
    return OSError(0, text, str(path), code) if WINDOWS else OSError(code, text, str(path))


def process_lives(process: int) -> bool:
    """True if a process of this machine with this number is running; ``os.kill`` with 0 sends Ctrl-C on Windows."""
    # Only leftovers need it, and they are rare.
    import psutil

    try:
        return bool(psutil.pid_exists(process))
    except OverflowError:
        return False


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


def keep_mode(source: Path, target: Path) -> None:
    """Give a copy the permissions of its source; Windows has none of them, and would lock a read-only copy."""
    if not WINDOWS:
        target.chmod(stat.S_IMODE(source.stat().st_mode) & 0o777)


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
