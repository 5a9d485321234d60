"""A selection: which weights of which parameters, as a value with the algebra of sets."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Indices: TypeAlias = NDArray[np.int64]
"""Flat row-major positions in one tensor: shape (n,), sorted, unique."""

_EMPTY: Indices = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Selection:
    """Parameter name -> sorted unique flat indices; a parameter without indices is left out.

    Raises:
        ValueError: indices that are negative, unsorted, doubled or not a vector.
    """

    indices: Mapping[str, Indices]

    def __post_init__(self) -> None:
        kept = {name: _checked(name, array) for name, array in sorted(self.indices.items()) if len(array)}
        object.__setattr__(self, "indices", kept)

    def __and__(self, other: "Selection") -> "Selection":
        return self._combine(other, np.intersect1d)

    def __or__(self, other: "Selection") -> "Selection":
        return self._combine(other, np.union1d)

    def __sub__(self, other: "Selection") -> "Selection":
        return self._combine(other, np.setdiff1d)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Selection):
            return NotImplemented
        return self.indices.keys() == other.indices.keys() and all(
            np.array_equal(array, other.indices[name]) for name, array in self.indices.items()
        )

    def __iter__(self) -> Iterator[tuple[str, Indices]]:
        return iter(self.indices.items())

    def of(self, parameter: str) -> Indices:
        """The indices in one parameter, shape (n,); empty where nothing is selected."""
        return self.indices.get(parameter, _EMPTY)

    @property
    def weights(self) -> int:
        """The number of selected weights."""
        return sum(len(array) for array in self.indices.values())

    @property
    def tensors(self) -> int:
        """The number of parameters with at least one selected weight."""
        return len(self.indices)

    def _combine(self, other: "Selection", operation: Callable[[Indices, Indices], Indices]) -> "Selection":
        names = self.indices.keys() | other.indices.keys()
        return Selection({name: operation(self.of(name), other.of(name)) for name in names})


def _checked(name: str, array: Indices) -> Indices:
    if not np.issubdtype(np.asarray(array).dtype, np.integer):
        raise ValueError(f"the indices of {name} are no integers")
    indices = np.array(array, dtype=np.int64)
    if indices.ndim != 1 or indices[0] < 0 or np.any(indices[1:] <= indices[:-1]):
        raise ValueError(f"the indices of {name} are not a sorted vector of unique positions")
    indices.flags.writeable = False
    return indices
