"""The files of a model folder and their sha256."""

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.core.contents import Contents, split_names


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


def sha256(path: Path, read: Callable[[int], None]) -> str:
    """The sha256 of one file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
            read(len(block))
    return digest.hexdigest()
