"""A delta: a selection, what is done to it, and the values that this overwrites, so that it can be undone exactly."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from spin_hub.core.dtypes import EDITABLE, itemsize
from spin_hub.core.names import Part
from spin_hub.core.selection import Indices, Selection
from spin_hub.errors import UsageError

if TYPE_CHECKING:
    from spin_hub.core.algebra import How


@dataclass(frozen=True)
class Action:
    """One entry of the table.

    Attributes:
        kind: its name, as in the ``operation`` of a delta file.
        sentence: a noun phrase for the result.
        write: returns the bytes to write for the original ones, both uint8, shape (n, itemsize).
    """

    kind: str
    sentence: str
    write: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

    @property
    def operation(self) -> dict[str, Any]:
        """The action as a delta file records it, such as ``{"kind": "zero"}``."""
        return {"kind": self.kind}


# Every bit 0 is +0 in every float type.
ZERO: Final = Action("zero", "zeros", np.zeros_like)

ACTIONS: Final[Mapping[str, Action]] = {ZERO.kind: ZERO}
"""What an edit may do to a selected weight."""


def action_of(operation: Any) -> Action | None:
    """Return the action that a delta file's ``operation`` names, or None if it is not known in this form."""
    return next((action for action in ACTIONS.values() if action.operation == operation), None)


@dataclass(frozen=True, eq=False)
class TensorEdit:
    """The edited weights of one tensor of the checkpoint.

    Attributes:
        shape: the tensor's shape.
        dtype: its safetensors code, such as ``BF16``.
        indices: int64, shape (n,), sorted, unique, flat row-major.
        original: uint8, shape (n, itemsize), the base's bytes there.

    Raises:
        ValueError: the parts do not fit each other.
    """

    shape: tuple[int, ...]
    dtype: str
    indices: Indices
    original: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.dtype not in EDITABLE:
            raise ValueError(f"elements of type {self.dtype} cannot be edited")
        if any(extent < 0 for extent in self.shape):
            raise ValueError(f"the shape {self.shape} is impossible")
        if len(self.indices) and int(self.indices[-1]) >= math.prod(self.shape):
            raise ValueError(f"index {int(self.indices[-1])} lies outside the shape {self.shape}")
        if self.original.shape != (len(self.indices), itemsize(self.dtype)) or self.original.dtype != np.uint8:
            raise ValueError("there is not one original value, as bytes, for every index")


@dataclass(frozen=True)
class BaseRef:
    """The model that a delta was made for: Hub id and commit, if any, and the sha256 of its files."""

    repo_id: str | None = None
    commit: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def pinned(self) -> str | None:
        """The Hub id with the commit, where it is known; None of a local model."""
        return f"{self.repo_id}@{self.commit}" if self.repo_id and self.commit else self.repo_id


_TEXTS: Final = ("rule", "expression", "select", "part", "layers")
_NUMBERS: Final = ("p", "q")
_OBJECTS: Final = ("ratios", "chosen_on", "parts", "deltas", "plugin")


def checked_method(method: Any) -> Mapping[str, Any]:
    """A method from a file, with those of its parts that are shown or computed with of the right type.

    Raises:
        TypeError: naming the part.
    """
    if not isinstance(method, dict):
        raise TypeError("method is not an object")
    numbers = [method[name] for name in _NUMBERS if name in method]
    for names, kind in ((_TEXTS, str), (_OBJECTS, dict)):
        wrong = [name for name in names if name in method and not isinstance(method[name], kind)]
        if wrong:
            raise TypeError(f"{wrong[0]} of the method is of another type")
    try:
        Part.from_json(method)
    except UsageError as error:
        raise TypeError(error.message) from error
    if not all(isinstance(value, int | float) for value in (*numbers, *method.get("ratios", {}).values())):
        raise TypeError("a ratio of the method is not a number")
    return method


@dataclass(frozen=True, eq=False)
class Delta:
    """Tensor name -> edit, with the base it was made for and the method that chose the weights.

    ``method`` holds plain JSON values: rule or expression, ratios, set names, counts. ``&``, ``|`` and ``-`` give the
    weights of both, of either, or of the first alone; see :func:`spin_hub.core.algebra.combine`.

    Raises:
        ValueError: indices that are not sorted, unique and within the tensor.
    """

    edits: Mapping[str, TensorEdit]
    base: BaseRef
    method: Mapping[str, Any]

    def __post_init__(self) -> None:
        Selection({name: edit.indices for name, edit in self.edits.items()})
        object.__setattr__(self, "edits", dict(sorted(self.edits.items())))

    def __and__(self, other: "Delta") -> "Delta":
        return self._combine(other, "and")

    def __or__(self, other: "Delta") -> "Delta":
        return self._combine(other, "or")

    def __sub__(self, other: "Delta") -> "Delta":
        return self._combine(other, "sub")

    @property
    def selection(self) -> Selection:
        """The edited weights without their values."""
        return Selection({name: edit.indices for name, edit in self.edits.items()})

    @property
    def weights(self) -> int:
        """The number of edited weights."""
        return sum(len(edit.indices) for edit in self.edits.values())

    def _combine(self, other: "Delta", how: "How") -> "Delta":
        from spin_hub.core.algebra import combine  # which is written in terms of deltas

        return combine(self, other, how) if isinstance(other, Delta) else NotImplemented
