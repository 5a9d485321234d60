"""Files described without their content: sizes and digests, and the pieces to read to see some places in them."""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

REGULAR: Final = 16 << 20
"""Files up to this size, in bytes, may be kept by git itself, under the id of their content."""


def git_id(content: bytes) -> str:
    """The id that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Identity:
    """A file's size, the sha256 of its content, and the id that git gives to that; None if not known."""

    size: int
    sha256: str | None = None
    blob_id: str | None = None

    def same_as(self, other: "Identity") -> bool | None:
        """True if two files have one content; None if that cannot be told from this."""
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


NEAR: Final = 4096
"""Places that lie closer together, in bytes, are read in one piece."""


@dataclass(frozen=True)
class Allowance:
    """How much may be read."""

    requests: int
    nbytes: int


@dataclass(frozen=True)
class Pieces:
    """What is read: of the numbered files the bytes from ``starts`` to ``ends``, and how many places that shows."""

    files: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    places: int


def pieces_for(
    files: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    allowed: Allowance | None,
    seed: int = 0,
) -> Pieces:
    """The pieces that show all places, or as many as fit: then a sample, the same for the same seed.

    Args:
        files: the file of every place, a number; shape (n,), sorted.
        starts, ends: its bytes; shape (n,), sorted within a file and not overlapping.
        allowed: None reads all of them.
        seed: of the sample.
    """
    # Places of two files never lie near each other.
    gaps = np.where(files[1:] == files[:-1], starts[1:] - ends[:-1], np.iinfo(np.int64).max)
    near = _pieces(files, starts, ends, gaps > NEAR)
    if allowed is None or _fits(near, allowed):
        return near
    # Joining the narrowest gaps costs the fewest bytes for a number of requests.
    cuts = np.zeros(len(gaps), bool)
    cuts[np.argsort(gaps, kind="stable")[::-1][: max(allowed.requests - 1, 0)]] = True
    fewest = _pieces(files, starts, ends, cuts | (gaps == np.iinfo(np.int64).max))
    return fewest if _fits(fewest, allowed) else _sample(files, starts, ends, allowed, seed)


def _pieces(
    files: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64], cuts: NDArray[np.bool_]
) -> Pieces:
    """Places joined into pieces, but where there is a cut between one place and the next."""
    if not len(files):
        return Pieces(files, starts, ends, 0)
    first = np.concatenate(([True], cuts))
    last = np.concatenate((cuts, [True]))
    return Pieces(files[first], starts[first], ends[last], len(files))


def _fits(pieces: Pieces, allowed: Allowance) -> bool:
    return len(pieces.files) <= allowed.requests and int((pieces.ends - pieces.starts).sum()) <= allowed.nbytes


def _sample(
    files: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64], allowed: Allowance, seed: int
) -> Pieces:
    """Windows of one size that hold places, in random order, until no more fit."""
    window = max(allowed.nbytes // max(allowed.requests, 1), 1)
    numbers = starts // window
    cuts = (files[1:] != files[:-1]) | (numbers[1:] != numbers[:-1])
    whole = _pieces(files, starts, ends, cuts)
    counts = np.diff(np.flatnonzero(np.concatenate(([True], cuts, [True]))))
    order = np.random.default_rng(seed).permutation(len(whole.files))[: allowed.requests]
    taken = np.sort(order[np.cumsum((whole.ends - whole.starts)[order]) <= allowed.nbytes])
    return Pieces(whole.files[taken], whole.starts[taken], whole.ends[taken], int(counts[taken].sum()))
