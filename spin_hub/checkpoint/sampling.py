"""The pieces of files to read to see some places in them: all, or a repeatable sample that fits a limit."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

NEAR: Final = 4096
"""Places that lie closer together, in bytes, are read in one piece."""


@dataclass(frozen=True)
class Allowance:
    """A limit on what may be read."""

    requests: int
    nbytes: int


@dataclass(frozen=True)
class Pieces:
    """Pieces to read: of the numbered files the bytes from ``starts`` to ``ends``, and the number of places in them."""

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
