"""File stores: sizes, digests, pieces and spans of a model's files, in a folder or on the Hub."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Final, Protocol

from spin_hub.checkpoint.digests import sha256
from spin_hub.checkpoint.sampling import Allowance

# Bytes of a file in memory at a time; large enough that the work per block is negligible.
BLOCK: Final = 4 << 20

# Files up to this size, in bytes, may be kept by git itself, under the id of their content.
REGULAR: Final = 16 << 20

# The content of a file, in order, in pieces of any size; each may be overwritten by the next.
Content = Iterable[bytes | bytearray]


def git_id(content: bytes) -> str:
    """Return git's id of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Identity:
    """A file's size, the sha256 of its content, and git's id of it; None if not known."""

    size: int
    sha256: str | None = None
    blob_id: str | None = None

    def same_as(self, other: "Identity") -> bool | None:
        """True if two files have one content; None if these digests do not say."""
        if self.size != other.size:
            return False
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256
        if self.blob_id and other.blob_id:
            return self.blob_id == other.blob_id
        return None

    @property
    def text(self) -> str:
        """In a few characters, for a table of what differs."""
        if self.sha256:
            return f"sha256 {self.sha256[:12]}"
        return f"git {self.blob_id[:12]}" if self.blob_id else f"{self.size:,} bytes"


class FileStore(Protocol):
    """Files by name, in a folder or a Hub repo."""

    @property
    def label(self) -> str:
        """The user's name for it."""
        ...

    @property
    def repo_id(self) -> str | None:
        """The id or commit, if it is a Hub repo."""
        ...

    @property
    def commit(self) -> str | None:
        """The id or commit, if it is a Hub repo."""
        ...

    @property
    def sizes(self) -> Mapping[str, int]:
        """The size of every file, by name."""
        ...

    def local(self, name: str) -> Path | None:
        """Return the local path of a file, or None."""
        ...

    def known(self, name: str) -> Identity:
        """Return what is known of a file without reading it."""
        ...

    def identity(self, name: str) -> Identity:
        """Return a file's digests, for which it may have to be read."""
        ...

    def sha256(self, name: str) -> str:
        """Return the sha256 of a file's content."""
        ...

    def whole(self, name: str) -> bytes:
        """Read a small file."""
        ...

    def pieces(self, name: str) -> Iterator[bytes | bytearray]:
        """Yield the content of a file, in order."""
        ...

    def ranges(self, name: str, spans: Iterable[tuple[int, int]]) -> list[bytes]:
        """Read some spans of a file."""
        ...

    def check(self, name: str) -> None:
        """Raise an error if the local copy of a file is not the Hub's."""
        ...

    def allowance(self, names: Iterable[str]) -> Allowance | None:
        """Return how much of some files :meth:`ranges` may read, or None for all."""
        ...


class FolderStore:
    """The visible files of a folder as a file store.

    Attributes:
        label: the user's name for it.
        path: the folder.
        repo_id, commit: of a folder in the Hub's cache.
    """

    def __init__(self, label: str, path: Path, repo_id: str | None = None, commit: str | None = None) -> None:
        self.label, self.path, self.repo_id, self.commit = label, path, repo_id, commit

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """The size of every file, by its name relative to the folder; hidden files are ignored."""
        paths = [path for path in self.path.rglob("*") if path.is_file()]
        names = {path.relative_to(self.path).as_posix(): path for path in paths}
        hidden = {name for name in names if any(part.startswith(".") for part in name.split("/"))}
        return {name: path.stat().st_size for name, path in sorted(names.items()) if name not in hidden}

    def local(self, name: str) -> Path | None:
        """Return the path of a file."""
        return self.path / name

    def known(self, name: str) -> Identity:
        """Return what is known of a file without reading it."""
        return Identity(self.sizes[name])

    def identity(self, name: str) -> Identity:
        """Read a file for its digests."""
        path = self.path / name
        size = path.stat().st_size
        if size > REGULAR:
            return Identity(size, sha256(path))
        data = path.read_bytes()
        return Identity(len(data), hashlib.sha256(data).hexdigest(), git_id(data))

    def sha256(self, name: str) -> str:
        """Return the sha256 of a file's content."""
        return sha256(self.path / name)

    def whole(self, name: str) -> bytes:
        """Read a small file."""
        return (self.path / name).read_bytes()

    def pieces(self, name: str) -> Iterator[bytearray]:
        """Yield the content of a file, in blocks."""
        return file_pieces(self.path / name)

    def ranges(self, name: str, spans: Iterable[tuple[int, int]]) -> list[bytes]:
        """Read some spans of a file."""
        with (self.path / name).open("rb", buffering=0) as file:
            return [_between(file, start, end) for start, end in spans]

    def check(self, name: str) -> None:
        """Do nothing: there is nothing to check a local file against."""

    def allowance(self, names: Iterable[str]) -> Allowance | None:
        """Return None: all of it may be read."""
        return None


def _between(file: FileIO, start: int, end: int) -> bytes:
    file.seek(start)
    parts = bytearray()
    while len(parts) < end - start and (part := file.read(end - start - len(parts))):
        parts += part
    return bytes(parts)


def in_blocks(pieces: Content) -> Iterator[bytearray]:
    """Regroup content into blocks of one size, but for the last; whole blocks are passed on uncopied."""
    kept = bytearray()
    for piece in pieces:
        if not kept and len(piece) == BLOCK and isinstance(piece, bytearray):
            yield piece
            continue
        kept += piece
        while len(kept) >= BLOCK:
            yield kept[:BLOCK]
            del kept[:BLOCK]
    if kept:
        yield kept


def file_pieces(path: Path) -> Iterator[bytearray]:
    """Yield the content of a file in blocks, all in one buffer."""
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, 2)
        file.seek(0)
        block = bytearray(min(BLOCK, max(size, 1)))
        view = memoryview(block)
        while True:
            filled = 0
            while filled < len(block) and (count := file.readinto(view[filled:])):
                filled += count
            if filled:
                yield block if filled == len(block) else block[:filled]
            if filled < len(block):
                return
