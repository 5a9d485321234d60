"""A ranking: per parameter and calibration set, the weights of highest importance, best first."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spin_hub.core.names import Part
from spin_hub.core.selection import Selection
from spin_hub.errors import RatioBeyondRanking

Shape = tuple[int, ...]
Count = Callable[[float, Shape], int]


def count_of(ratio: float, shape: Shape) -> int:
    """Number of weights of a matrix for a ratio: ``int(r * W.numel())`` (arXiv 2410.16672)."""
    return int(ratio * math.prod(shape))


def published_count_of(ratio: float, shape: Shape) -> int:
    """That number as the paper's released code computes it: ``int(r * columns * rows)``, in that order."""
    rows, columns = shape[-2:]
    return int(ratio * columns * rows)


def kept_count_of(ratio: float, shape: Shape) -> int:
    """Number of weights that a ranking keeps, so that every rule can be applied at that ratio."""
    return min(max(count_of(ratio, shape), published_count_of(ratio, shape)), math.prod(shape))


@dataclass(frozen=True, eq=False)
class TopWeights:
    """The best weights of one parameter for one set, best first, ties by the lower index.

    Attributes:
        indices: int64, shape (K,), flat row-major positions in the checkpoint's tensor.
        importance: float32, shape (K,), descending.
        original: uint8, shape (K, itemsize), the checkpoint's bytes at these positions.
    """

    indices: NDArray[np.int64]
    importance: NDArray[np.float32]
    original: NDArray[np.uint8]

    @property
    def positive(self) -> int:
        """The number of weights of an importance above 0; of the others only their position says which comes first."""
        ascending = np.asarray(self.importance)[::-1]
        return len(ascending) - int(np.searchsorted(ascending, 0, side="right"))


@dataclass(frozen=True, eq=False)
class RankedTensor:
    """One parameter: its shape, its safetensors dtype code, and its best weights by set name."""

    shape: Shape
    dtype: str
    tops: Mapping[str, TopWeights]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Parameter name -> :class:`RankedTensor`, and the ratio up to which weights were kept."""

    tensors: Mapping[str, RankedTensor]
    keep: float

    @property
    def sets(self) -> tuple[str, ...]:
        """The names of the calibration sets, sorted."""
        return tuple(sorted({name for tensor in self.tensors.values() for name in tensor.tops}))

    @property
    def largest(self) -> int:
        """The number of weights of the largest matrix."""
        return max((math.prod(tensor.shape) for tensor in self.tensors.values()), default=0)

    def within(self, part: Part) -> "Ranking":
        """The ranking of a part of the model alone."""
        return Ranking({name: entry for name, entry in self.tensors.items() if part.holds(name)}, self.keep)

    def top(self, set_name: str, ratio: float, count: Count = count_of, zeros: bool = False) -> Selection:
        """The top set of every parameter, ``top(D, r)``.

        Args:
            set_name: the calibration set D.
            ratio: r.
            count: the number of weights of a matrix for a ratio.
            zeros: fill up with weights of importance 0, in the order of their positions, if too few have more.

        Raises:
            RatioBeyondRanking: the ratio asks for more weights than were kept.
        """
        found = {}
        for name, tensor in self.tensors.items():
            number, top = count(ratio, tensor.shape), tensor.tops[set_name]
            if number > len(top.indices):
                raise RatioBeyondRanking(name=set_name, value=ratio, kept=self.keep)
            best = top.indices[: number if zeros else min(number, top.positive)]
            found[name] = np.sort(np.asarray(best, dtype=np.int64))
        return Selection(found)

    def originals(self, selection: Selection) -> Iterator[tuple[str, RankedTensor, NDArray[np.uint8]]]:
        """The checkpoint's bytes of selected weights, per parameter: uint8, shape (n, itemsize).

        Raises:
            KeyError: a selected weight is in none of the kept sets.
        """
        for name, indices in selection:
            tensor = self.tensors[name]
            known = np.concatenate([np.asarray(top.indices) for top in tensor.tops.values()])
            values = np.concatenate([np.asarray(top.original) for top in tensor.tops.values()])
            order = np.argsort(known, kind="stable")
            places = np.searchsorted(known, indices, sorter=order)
            if np.any(places == len(known)) or np.any(known[order[places]] != indices):
                raise KeyError(name)
            yield name, tensor, values[order[places]]
