"""Compatibility of a delta with a checkpoint: touched weights that equal the base's, are zero, or have drifted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spin_hub.core.delta import TensorEdit
from spin_hub.core.dtypes import EDITABLE

Values: TypeAlias = NDArray[np.float64]
_NATIVE: Final = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<f4", "F8_E5M2": "<f2"}


def values_of(raw: NDArray[np.uint8], dtype: str) -> Values:
    """The numbers that elements of a checkpoint stand for; float64 holds each of them exactly.

    Args:
        raw: uint8, shape (n, itemsize), as the bytes lie in the file (little-endian).
        dtype: the safetensors code of a type that can be edited.

    Returns:
        float64, shape (n,); signed zeros, infinities and NaN stay what they are.

    Raises:
        ValueError: elements of this type cannot be edited.
    """
    if dtype not in EDITABLE:
        raise ValueError(f"elements of type {dtype} cannot be edited")
    if dtype == "F8_E4M3":  # a float16 with three bits of fraction and a bias of 7 instead of 15; all ones are NaN
        codes = raw.reshape(-1).astype("<u2")
        halves = ((codes & 0x80) << 8 | (codes & 0x7F) << 7).view("<f2")
        return np.where(codes & 0x7F == 0x7F, np.nan, halves.astype(np.float64) * 256)
    if dtype in {"BF16", "F8_E5M2"}:  # the upper halves of float32 and float16
        raw = np.concatenate([np.zeros_like(raw), raw], axis=1)
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        return np.ascontiguousarray(raw).reshape(-1).view(_NATIVE[dtype]).astype(np.float64)


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
            both are zeros, infinite where only w is zero and where a NaN or an infinite w stands against another.
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
        """The median drift of the changed weights; None if there is none."""
        return _median(self.drifts[self.moved])

    @property
    def largest(self) -> float | None:
        """The largest drift of a touched weight; None if none could be compared."""
        return float(self.drifts.max()) if len(self.drifts) else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; a drift that is not finite is None."""
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
        """Plain JSON values; a drift that is not finite is None."""
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
        """Plain JSON values: the totals, and by name the matrices; a drift that is not finite is None."""
        tensors = {"expected": self.expected, "found": self.found}
        tensors |= {"shapes_equal": self.shapes_equal, "dtypes_equal": self.dtypes_equal}
        matrices = {matrix.name: matrix.to_json() for matrix in self.matrices}
        return {"tensors": tensors, **super().to_json(), "matrices": matrices}


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


def _median(drifts: Values) -> float | None:
    """Of an even number the mean of the middle two; None of nothing."""
    ordered, middle = np.sort(drifts), len(drifts) // 2
    if not len(ordered):
        return None
    with np.errstate(over="ignore"):
        return float(ordered[[middle - 1 + len(ordered) % 2, middle]].mean())
