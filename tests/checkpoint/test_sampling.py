"""All places are read where they fit; else a sample within the limits, the same for the same seed."""

import numpy as np
import pytest

from spin_hub.checkpoint.sampling import Allowance, Pieces, pieces_for


def places(starts: list[int], files: list[int] | None = None, size: int = 2) -> tuple:
    first = np.array(starts, np.int64)
    return np.array(files or [0] * len(starts), np.int64), first, first + size


def size(pieces: Pieces) -> int:
    return int((pieces.ends - pieces.starts).sum())


def test_near_places_are_read_in_one_piece_and_files_apart():
    found = pieces_for(*places([10, 20, 9000, 10], [0, 0, 0, 1]), None)
    assert found.starts.tolist() == [10, 9000, 10]
    assert found.ends.tolist() == [22, 9002, 12]
    assert found.files.tolist() == [0, 0, 1]
    assert found.places == 4


def test_nothing_to_read():
    assert pieces_for(*places([]), Allowance(5, 5)).places == 0


def test_bytes_are_saved_where_requests_are_left():
    found = pieces_for(*places([0, 1000, 2000]), Allowance(3, 6))
    assert (found.places, len(found.files), size(found)) == (3, 3, 6)


def test_requests_are_saved_where_bytes_are_left():
    found = pieces_for(*places([0, 10_000, 15_000, 90_000]), Allowance(3, 6_000))
    assert found.places == 4
    assert found.starts.tolist() == [0, 10_000, 90_000]


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_keeps_within_the_limits(seed):
    random = np.random.default_rng(seed)
    files = np.sort(random.integers(0, 5, 3_000))
    starts = np.concatenate([np.sort(random.choice(10**8, int((files == n).sum()), False)) * 8 for n in range(5)])
    allowed = Allowance(40, 20_000)
    found = pieces_for(files, starts, starts + 4, allowed, seed)
    assert 0 < len(found.files) <= 40
    assert size(found) <= 20_000
    held = sum(
        int(((files == file) & (starts >= start) & (starts + 4 <= end)).sum())
        for file, start, end in zip(found.files, found.starts, found.ends, strict=True)
    )
    assert held == found.places
    again = pieces_for(files, starts, starts + 4, allowed, seed)
    assert again.starts.tolist() == found.starts.tolist()
    assert pieces_for(files, starts, starts + 4, allowed, seed + 1).starts.tolist() != found.starts.tolist()
