"""The files of a model folder and their sha256."""

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from spin_hub.checkpoint.digest_cache import Remembered
from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.core.files import Contents, split_names

_BLOCK: Final = 1 << 20


def contents_of(index: CheckpointIndex) -> Contents:
    """The files of a checkpoint folder, sorted into kept and left out."""
    names = (path.relative_to(index.folder).as_posix() for path in index.folder.rglob("*") if path.is_file())
    return split_names(names, index.shards)


def digests(folder: Path, names: Iterable[str], read: Callable[[int], None]) -> dict[str, str]:
    """The sha256 of files, by name; several are read at a time.

    Args:
        folder: where they are.
        names: relative to it.
        read: called with the number of bytes of every block, from several threads.

    Raises:
        OSError: a file cannot be read.
    """
    names = list(names)
    with ThreadPoolExecutor() as pool:
        return dict(zip(names, pool.map(lambda name: sha256(folder / name, read), names), strict=True))


def known_digests(folder: Path, names: Iterable[str], read: Callable[[int], None]) -> dict[str, str]:
    """As :func:`digests`, but large files that have not changed since they were last hashed are not read again.

    Args:
        folder: where they are.
        names: relative to it.
        read: called with the number of bytes of every block or known file, from several threads.

    Raises:
        OSError: a file cannot be read.
    """
    remembered = Remembered()
    names = list(names)

    def one(name: str) -> str:
        path = folder / name
        known, before = remembered.digest(path), path.stat()
        if known is not None:
            read(before.st_size)
            return known
        digest = sha256(path, read)
        remembered.remember(path, before, digest)
        return digest

    with ThreadPoolExecutor() as pool:
        found = dict(zip(names, pool.map(one, names), strict=True))
    remembered.save()
    return found


def sha256(path: Path, read: Callable[[int], None]) -> str:
    """The sha256 of one file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    # One small buffer a file: fresh blocks would be kept by the allocator, some for every thread.
    block = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            digest.update(block[:count])
            read(count)
    return digest.hexdigest()
