"""A sparse matrix as a product of two thin ones, exact and of the smallest rank that its positions allow.

Each row and column of a smallest set that covers every touched weight gives one term: the row's values beside a
single one, or a single one beside the column's values. Every element of the product is one value times one, plus zeros,
so nothing is rounded. The rank is the cover's size, which is the rank of almost every matrix with these positions: a
matrix whose values depend on each other may have a smaller one, but no factors of it that are exact in floats.

Rows and columns are the two sides of a bipartite graph, touched weights its edges. By König's theorem (D. König,
"Gráfok és mátrixok", Matematikai és Fizikai Lapok 38, 1931) a smallest vertex cover has as many members as a largest
matching, which is found by the algorithm of J. E. Hopcroft and R. M. Karp (SIAM J. Comput. 2, 1973).
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spin_hub.core.selection import Indices

Neighbours: TypeAlias = Mapping[int, Sequence[int]]
"""Row -> the columns of its touched weights."""


@dataclass(frozen=True)
class Cover:
    """A smallest cover, and a matching of the same size, which proves that none is smaller.

    Attributes:
        rows, columns: sorted; every touched weight lies in one of them.
        matching: touched weights as row -> column, no two in one row or column.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    matching: Mapping[int, int]

    @property
    def size(self) -> int:
        """Number of rows and columns."""
        return len(self.rows) + len(self.columns)


def smallest_cover(rows: Indices, columns: Indices) -> Cover:
    """The fewest rows and columns that hold all of some positions.

    Args:
        rows: int64, shape (n,).
        columns: int64, shape (n,), the column of each.
    """
    found: defaultdict[int, list[int]] = defaultdict(list)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        found[row].append(column)
    matching = _largest_matching(found)
    seen_rows, seen_columns = _reached(found, matching)
    return Cover(tuple(sorted(found.keys() - seen_rows)), tuple(sorted(seen_columns)), matching.column_of)


@dataclass(frozen=True)
class _Matching:
    """Matched rows and columns, in both directions."""

    column_of: dict[int, int] = field(default_factory=dict)
    row_of: dict[int, int] = field(default_factory=dict)


def _largest_matching(neighbours: Neighbours) -> _Matching:
    matching = _Matching()
    while True:
        depths = _depths(neighbours, matching)
        free = [row for row in neighbours if row not in matching.column_of]
        left = {row: iter(neighbours[row]) for row in neighbours}
        if not sum(_lengthened(row, left, depths, matching) for row in free):
            return matching


def _depths(neighbours: Neighbours, matching: _Matching) -> dict[int, int]:
    """Number of alternations from an unmatched row to every row."""
    depths = {row: 0 for row in neighbours if row not in matching.column_of}
    waiting = deque(depths)
    while waiting:
        row = waiting.popleft()
        for column in neighbours[row]:
            partner = matching.row_of.get(column)
            if partner is not None and partner not in depths:
                depths[partner] = depths[row] + 1
                waiting.append(partner)
    return depths


def _lengthened(start: int, left: Mapping[int, Iterator[int]], depths: dict[int, int], matching: _Matching) -> bool:
    """True if a path from an unmatched row to an unmatched column was found and taken.

    Args:
        start: the row.
        left: row -> iterator over its columns that were not tried in this phase.
        depths: of the rows.
        matching: changed where a path is found.
    """
    # A stack of its own: a path may be longer than Python's recursion allows.
    path: list[tuple[int, int]] = []
    row = start
    while True:
        column = next(left[row], None)
        if column is None:
            if not path:
                return False
            row, _ = path.pop()
            continue
        partner = matching.row_of.get(column)
        if partner is None:
            for taken_row, taken_column in [*path, (row, column)]:
                matching.column_of[taken_row] = taken_column
                matching.row_of[taken_column] = taken_row
            return True
        if depths.get(partner) == depths[row] + 1:
            path.append((row, column))
            row = partner


def _reached(neighbours: Neighbours, matching: _Matching) -> tuple[set[int], set[int]]:
    """The rows and columns on alternating paths from unmatched rows."""
    rows = set(_depths(neighbours, matching))
    return rows, {column for row in rows for column in neighbours[row]}


@dataclass(frozen=True, eq=False)
class Factors:
    """The positions of the values and ones in A, shape (rank, columns), and B, shape (rows, rank): B @ A is the matrix.

    Attributes:
        shape: (rows, columns) of the matrix.
        rows, columns: int64, shape (n,), the positions of its values.
        cover_rows, cover_columns: int64; the first terms are those of the rows, then come those of the columns.
        terms: int64, shape (n,), the term that holds each value.
    """

    shape: tuple[int, int]
    rows: Indices
    columns: Indices
    cover_rows: Indices
    cover_columns: Indices
    terms: Indices

    @property
    def rank(self) -> int:
        """Number of terms."""
        return len(self.cover_rows) + len(self.cover_columns)

    def fill(self, values: NDArray[Any], one: NDArray[Any], rank: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """A and B as arrays, with terms of zeros up to a rank.

        Args:
            values: shape (n,), or (n, itemsize) where elements are given as bytes.
            one: an element of the same kind that is 1, shape () or (itemsize,).
            rank: at least that of the factors.

        Returns:
            A, shape (rank, columns), and B, shape (rows, rank), both with the bytes of an element last.
        """
        a = np.zeros((rank, self.shape[1], *values.shape[1:]), values.dtype)
        b = np.zeros((self.shape[0], rank, *values.shape[1:]), values.dtype)
        by_row = self.terms < len(self.cover_rows)
        a[self.terms[by_row], self.columns[by_row]] = values[by_row]
        b[self.rows[~by_row], self.terms[~by_row]] = values[~by_row]
        b[self.cover_rows, np.arange(len(self.cover_rows))] = one
        a[len(self.cover_rows) + np.arange(len(self.cover_columns)), self.cover_columns] = one
        return a, b


def factors_of(indices: Indices, shape: tuple[int, int], transposed: bool = False) -> Factors:
    """Factors for the values at some positions of a matrix, or of its transpose.

    Args:
        indices: flat row-major positions, shape (n,).
        shape: of the matrix in which they are counted.
        transposed: whether the factors are those of the transpose, as a ``Conv1D`` needs them.
    """
    rows, columns = np.divmod(indices, shape[1])
    if transposed:
        rows, columns, shape = columns, rows, (shape[1], shape[0])
    cover = smallest_cover(rows, columns)
    cover_rows, cover_columns = (np.array(side, np.int64) for side in (cover.rows, cover.columns))
    # A value in a row and a column of the cover is in the row's term alone.
    by_row = np.isin(rows, cover_rows)
    of_columns = len(cover_rows) + np.searchsorted(cover_columns, columns)
    terms = np.where(by_row, np.searchsorted(cover_rows, rows), of_columns)
    return Factors(shape, rows, columns, cover_rows, cover_columns, terms)
