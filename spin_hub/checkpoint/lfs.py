"""Git LFS pointers: the short texts that a clone without git-lfs holds in place of large files.

Such as::

    version https://git-lfs.github.com/spec/v1
    oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
    size 12345
"""

from pathlib import Path
from typing import Final

from spin_hub.errors import LfsPointer

# A pointer has less than 1024 bytes, says its specification; the other two addresses are those of its first versions.
_LONGEST: Final = 1024
_OPENINGS: Final = tuple(
    b"version " + address
    for address in (b"https://git-lfs.github.com/spec/", b"https://hawser.github.com/spec/", b"http://git-media.io/v/")
)


def is_pointer(data: bytes) -> bool:
    """True if this is the content of a Git LFS pointer."""
    return len(data) < _LONGEST and data.startswith(_OPENINGS)


def refuse_pointer(path: Path) -> None:
    """Refuse a file that is a Git LFS pointer; a path without a file is left to whoever opens it.

    Raises:
        LfsPointer: run `git lfs pull`.
        OSError: the file cannot be read.
    """
    if path.is_file() and path.stat().st_size < _LONGEST and is_pointer(path.read_bytes()):
        raise LfsPointer(path=path)
