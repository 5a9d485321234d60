"""Covers hold everything, and the matching beside them proves that none is smaller."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.factors import smallest_cover


@st.composite
def positions(draw):
    places = st.tuples(st.integers(0, draw(st.integers(0, 12))), st.integers(0, draw(st.integers(0, 12))))
    found = sorted(draw(st.sets(places, max_size=60)))
    return np.array([row for row, _ in found], np.int64), np.array([column for _, column in found], np.int64)


@given(positions())
def test_a_cover_holds_every_position_and_a_matching_of_its_size_proves_it_smallest(found):
    rows, columns = found
    cover = smallest_cover(rows, columns)
    edges = set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert all(row in cover.rows or column in cover.columns for row, column in edges)
    assert set(cover.matching.items()) <= edges
    assert len(set(cover.matching.values())) == len(cover.matching) == cover.size


def test_a_row_and_a_column_need_one_each():
    rows = np.array([0, 3, 3, 3, 5])
    columns = np.array([2, 0, 2, 7, 2])
    cover = smallest_cover(rows, columns)
    assert (cover.rows, cover.columns) == ((3,), (2,))


def test_paths_longer_than_the_recursion_limit_are_found():
    n = 3000
    rows = np.repeat(np.arange(n), 2)
    columns = np.stack([np.arange(n), np.arange(1, n + 1)], 1).reshape(-1)
    # Every row's first choice is taken by the one before it, but for the last, which has one choice alone.
    cover = smallest_cover(rows[::-1][1:], columns[::-1][1:])
    assert cover.size == n
