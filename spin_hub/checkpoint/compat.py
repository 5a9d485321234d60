"""Compatibility of a delta with a checkpoint: touched weights that equal the base's, are zero, or have drifted.

Headers and the touched bytes alone are read.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.core.dtypes import EDITABLE, Values, values_of


@dataclass(frozen=True)
class Layout:
    """A tensor's shape and its safetensors dtype code."""

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Touched weights beside the base's: of one matrix, or of all.

    Attributes:
        weights: how many the delta touches, whether they could be compared or not.
        equal: those that are the base's: the same bits or, in another type, the same value and sign, any NaN being
            like any other.
        zero: those of which every bit is 0, as the edit leaves them. So -0.0 is none of them, and where the base has
            +0.0 a weight is both equal and zero.
        drifts: float64, shape (n,), of the n weights that could be compared: |w' - w| / |w|; 0 where equal or where
            both are zeros, infinite if only w is zero, or if a NaN or an infinite w is compared with another value.
        moved: bool, shape (n,): the changed ones, which are neither equal nor zero.
    """

    weights: int
    equal: int = 0
    zero: int = 0
    drifts: Values = field(default_factory=lambda: np.empty(0), compare=False, repr=False)
    moved: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_), compare=False, repr=False)

    @property
    def changed(self) -> int:
        """Number of weights that are neither equal nor zero."""
        return int(self.moved.sum())

    @property
    def drift(self) -> float | None:
        """The median drift of all touched weights; None if none could be compared."""
        return _median(self.drifts)

    @property
    def changed_drift(self) -> float | None:
        """The median drift of the changed weights, or None if no weight has changed."""
        return _median(self.drifts[self.moved])

    @property
    def largest(self) -> float | None:
        """The largest drift of a touched weight; None if none could be compared."""
        return float(self.drifts.max()) if len(self.drifts) else None

    def to_json(self) -> dict[str, Any]:
        """Return the counts and drifts; a drift that is not finite is None."""
        counts = {"weights": self.weights, "equal": self.equal, "zero": self.zero, "changed": self.changed}
        drifts = {"drift": self.drift, "changed_drift": self.changed_drift, "largest": self.largest}
        finite = {name: drift for name, drift in drifts.items() if drift is not None and math.isfinite(drift)}
        return {**counts, **dict.fromkeys(drifts), **finite}


@dataclass(frozen=True, kw_only=True)
class MatrixFit(Compared):
    """Compatibility of one tensor's edit.

    Attributes:
        name: the tensor.
        expected: the base's layout, as the delta has it.
        stored: the checkpoint's; None if it has no such tensor.
    """

    name: str
    expected: Layout
    stored: Layout | None

    @property
    def found(self) -> bool:
        """True if the checkpoint has the tensor."""
        return self.stored is not None

    @property
    def shape_equal(self) -> bool:
        """True if it has it in the delta's shape."""
        return self.stored is not None and self.stored.shape == self.expected.shape

    @property
    def dtype_equal(self) -> bool:
        """True if it has it in the delta's type; other float types fit too."""
        return self.stored is not None and self.stored.dtype == self.expected.dtype

    @property
    def comparable(self) -> bool:
        """True if the delta's positions mean anything here: the shape is equal, and the type can be edited."""
        return self.stored is not None and self.shape_equal and self.stored.dtype in EDITABLE

    def to_json(self) -> dict[str, Any]:
        """Return the counts and drifts; a drift that is not finite is None."""
        layout = {"found": self.found, "shape_equal": self.shape_equal, "dtype_equal": self.dtype_equal}
        return {**layout, **super().to_json()}


@dataclass(frozen=True, kw_only=True)
class Fit(Compared):
    """Compatibility of a delta with a checkpoint: its matrices, in the delta's order, and their totals."""

    matrices: tuple[MatrixFit, ...]

    @classmethod
    def of(cls, matrices: Sequence[MatrixFit]) -> "Fit":
        """Add up what was found for every tensor of a delta."""
        return cls(
            weights=sum(matrix.weights for matrix in matrices),
            equal=sum(matrix.equal for matrix in matrices),
            zero=sum(matrix.zero for matrix in matrices),
            drifts=np.concatenate([np.empty(0), *(matrix.drifts for matrix in matrices)]),
            moved=np.concatenate([np.empty(0, np.bool_), *(matrix.moved for matrix in matrices)]),
            matrices=tuple(matrices),
        )

    @property
    def expected(self) -> int:
        """Number of tensors that the delta touches."""
        return len(self.matrices)

    @property
    def found(self) -> int:
        """Number of them that the checkpoint has."""
        return sum(matrix.found for matrix in self.matrices)

    @property
    def shapes_equal(self) -> int:
        """Number of tensors with the delta's shape."""
        return sum(matrix.shape_equal for matrix in self.matrices)

    @property
    def dtypes_equal(self) -> int:
        """Number of tensors with the delta's type."""
        return sum(matrix.dtype_equal for matrix in self.matrices)

    @property
    def all_equal(self) -> bool:
        """True if the checkpoint holds the base's value at every position, in whatever float type."""
        return self._comparable and self.equal == self.weights

    @property
    def all_zero(self) -> bool:
        """True if it holds the edit at every position."""
        return self._comparable and self.zero == self.weights

    @property
    def _comparable(self) -> bool:
        return all(matrix.comparable for matrix in self.matrices)

    def to_json(self) -> dict[str, Any]:
        """Return the totals, and by name the matrices; a drift that is not finite is None."""
        tensors = {"expected": self.expected, "found": self.found}
        tensors |= {"shapes_equal": self.shapes_equal, "dtypes_equal": self.dtypes_equal}
        matrices = {matrix.name: matrix.to_json() for matrix in self.matrices}
        return {"tensors": tensors, **super().to_json(), "matrices": matrices}


def fit_of(index: CheckpointIndex, delta: Delta) -> Fit:
    """Compare the weights at a delta's positions with the base's.

    A tensor that is missing, or has another shape or type, is a fact of the fit. Time and memory grow with the
    delta, not with the model.

    Raises:
        OSError: a shard cannot be read.
    """
    return Fit.of([_matrix(index, name, edit) for name, edit in delta.edits.items()])


def refusal(fit: Fit) -> str | None:
    """The reason why a delta cannot be applied to a checkpoint, as the end of a sentence, or None.

    A float type other than the delta's is not a reason: positions are what matters.
    """
    missing = [matrix for matrix in fit.matrices if not matrix.found]
    misshapen = [matrix for matrix in fit.matrices if matrix.found and not matrix.shape_equal]
    packed = [matrix for matrix in fit.matrices if matrix.shape_equal and not matrix.comparable]
    if missing:
        return f"it lacks {_share(missing, fit)}, such as {missing[0].name}"
    if misshapen:
        return f"it has another shape in {_share(misshapen, fit)}, {_example(misshapen[0])}"
    if packed:
        return f"it has a type that cannot be edited in {_share(packed, fit)}, {_example(packed[0])}"
    return None


def matrix_fit(name: str, edit: TensorEdit, stored: Layout | None, raw: NDArray[np.uint8] | None) -> MatrixFit:
    """Compare the weights that a checkpoint has at an edit's positions with the base's.

    Args:
        name: the tensor.
        edit: its edit.
        stored: its layout in the checkpoint; None if it is missing.
        raw: uint8, shape (n, itemsize of the stored type), the checkpoint's bytes; None if not comparable.
    """
    expected, weights = Layout(edit.shape, edit.dtype), len(edit.indices)
    if stored is None or raw is None:
        return MatrixFit(name=name, expected=expected, stored=stored, weights=weights)
    here, base = values_of(raw, stored.dtype), values_of(edit.original, edit.dtype)
    if stored.dtype == edit.dtype:
        equal = (raw == edit.original).all(axis=1)
    else:
        equal = (here == base) & (np.signbit(here) == np.signbit(base)) | np.isnan(here) & np.isnan(base)
    zero = ~raw.any(axis=1)
    with np.errstate(all="ignore"):
        drifts = np.abs(here - base) / np.abs(base)
    drifts[np.isnan(drifts)] = np.inf
    drifts[equal | (here == base)] = 0
    return MatrixFit(
        name=name, expected=expected, stored=stored, weights=weights, equal=int(equal.sum()), zero=int(zero.sum()),
        drifts=drifts, moved=~(equal | zero),
    )  # fmt: skip


def _matrix(index: CheckpointIndex, name: str, edit: TensorEdit) -> MatrixFit:
    place = index.tensors.get(name)
    if place is None:
        return matrix_fit(name, edit, None, None)
    stored = Layout(place.span.shape, place.span.dtype)
    # An empty tensor has no bytes that could be mapped, and one of another shape none that would mean anything.
    readable = stored.shape == edit.shape and stored.dtype in EDITABLE and len(edit.indices)
    return matrix_fit(name, edit, stored, index.raw(name, edit.indices) if readable else None)


def _share(matrices: list[MatrixFit], fit: Fit) -> str:
    return f"{len(matrices):,} of the delta's {fit.expected:,} tensors"


def _example(matrix: MatrixFit) -> str:
    return f"such as {matrix.name}: {matrix.stored}, but {matrix.expected} in the delta"


def _median(drifts: Values) -> float | None:
    """Of an even number the mean of the middle two; None of nothing."""
    ordered, middle = np.sort(drifts), len(drifts) // 2
    if not len(ordered):
        return None
    with np.errstate(over="ignore"):
        return float(ordered[[middle - 1 + len(ordered) % 2, middle]].mean())
