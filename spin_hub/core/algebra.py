"""Set algebra of deltas of one base, and the overlap of two of them."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np

from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.core.files import shard_digests
from spin_hub.core.selection import Indices
from spin_hub.errors import BasesDiffer

How = Literal["and", "or", "sub"]
HOWS: Final[tuple[How, ...]] = get_args(How)
COMBINED: Final = "combined"
"""The rule that a combined delta's method names."""
COMBINED_SENTENCE: Final = "two other deltas, combined"

_OPERATIONS: Final[Mapping[How, tuple[str, Callable[[Indices, Indices], Indices]]]] = {
    "and": ("a & b", np.intersect1d),
    "or": ("a | b", np.union1d),
    "sub": ("a - b", np.setdiff1d),
}
"""The expression that the method of a combined delta records, and the operation on the positions."""


def how_of(expression: object) -> How:
    """Return the name of the operation whose expression a combined delta's method records.

    Raises:
        ValueError: no operation has this expression.
    """
    for how, (text, _) in _OPERATIONS.items():
        if text == expression:
            return how
    raise ValueError(f"two deltas cannot be combined as {str(expression)[:60]!r}")


def combine(a: Delta, b: Delta, how: How) -> Delta:
    """The weights that two deltas share, that either has, or that only the first has.

    Returns:
        A delta of the same base, which may have no weight at all. Its method is ``{"rule": "combined", "expression",
        "parts": {"a", "b"}, "tensors", "weights"}``, the parts being the methods of the two.

    Raises:
        BasesDiffer: they are not of one base, as far as can be seen.
    """
    check_one_base(a, b)
    expression, operation = _OPERATIONS[how]
    edits = {name: _combined(a.edits.get(name), b.edits.get(name), operation) for name in {**a.edits, **b.edits}}
    kept = {name: edit for name, edit in edits.items() if len(edit.indices)}
    method: dict[str, Any] = {
        "rule": COMBINED,
        "expression": expression,
        "parts": {"a": dict(a.method), "b": dict(b.method)},
        "tensors": len(kept),
        "weights": sum(len(edit.indices) for edit in kept.values()),
    }
    return Delta(kept, _fuller(a.base, b.base), method)


def check_one_base(a: Delta, b: Delta) -> None:
    """Refuse deltas that are not of one base: by their files or else by repo and commit, and by what they touch.

    Raises:
        BasesDiffer: naming the difference.
    """
    why = _other_base(a.base, b.base)
    for name in () if why else a.edits.keys() & b.edits.keys():
        why = why or _other_tensor(name, a.edits[name], b.edits[name])
    if why:
        raise BasesDiffer(why=why)


@dataclass(frozen=True)
class Overlap:
    """The overlap of two selections, in one tensor or in all.

    Attributes:
        a, b: the weights of each.
        shared: of both.
        expected: the number that they would share by chance: a * b / n for each tensor of n weights, added up.
    """

    a: int
    b: int
    shared: int
    expected: float

    @property
    def only_a(self) -> int:
        """The number of weights that only the first has."""
        return self.a - self.shared

    @property
    def only_b(self) -> int:
        """The number of weights that only the second has."""
        return self.b - self.shared

    @property
    def jaccard(self) -> float | None:
        """The share of the union that is shared, between 0 and 1, or None if both are empty."""
        union = self.a + self.b - self.shared
        return self.shared / union if union else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        counts = {"a": self.a, "b": self.b, "shared": self.shared, "only_a": self.only_a, "only_b": self.only_b}
        return {**counts, "jaccard": self.jaccard, "expected_by_chance": self.expected}


def overlaps(a: Delta, b: Delta) -> dict[str, Overlap]:
    """The overlap of two deltas, by the name of every tensor that either touches.

    Raises:
        BasesDiffer: they are not of one base.
    """
    check_one_base(a, b)
    return {name: _overlap(a.edits.get(name), b.edits.get(name)) for name in sorted({**a.edits, **b.edits})}


def overlap(a: Delta, b: Delta) -> Overlap:
    """The overlap of two deltas in all tensors together.

    Raises:
        BasesDiffer: they are not of one base.
    """
    return total(overlaps(a, b).values())


def total(parts: Iterable[Overlap]) -> Overlap:
    """Overlaps added up."""
    parts = list(parts)
    return Overlap(
        a=sum(part.a for part in parts),
        b=sum(part.b for part in parts),
        shared=sum(part.shared for part in parts),
        expected=sum(part.expected for part in parts),
    )


def _overlap(a: TensorEdit | None, b: TensorEdit | None) -> Overlap:
    if a is None or b is None:
        return Overlap(len(a.indices) if a else 0, len(b.indices) if b else 0, 0, 0.0)
    shared = len(np.intersect1d(a.indices, b.indices, assume_unique=True))
    counts = len(a.indices), len(b.indices)
    return Overlap(*counts, shared, counts[0] * counts[1] / max(math.prod(a.shape), 1))


def _combined(a: TensorEdit | None, b: TensorEdit | None, operation: Callable[..., Indices]) -> TensorEdit:
    known = [edit for edit in (a, b) if edit is not None]
    nothing = np.empty(0, np.int64)
    indices = operation(nothing if a is None else a.indices, nothing if b is None else b.indices)
    positions = np.concatenate([edit.indices for edit in known])
    values = np.concatenate([edit.original for edit in known])
    order = np.argsort(positions, kind="stable")
    return TensorEdit(
        known[0].shape, known[0].dtype, indices, values[order[np.searchsorted(positions, indices, sorter=order)]]
    )


def _fuller(a: BaseRef, b: BaseRef) -> BaseRef:
    """Of two references to one base the one that says more."""
    return max((a, b), key=lambda base: (base.repo_id is not None, base.commit is not None, len(base.files)))


def _other_base(a: BaseRef, b: BaseRef) -> str | None:
    """The reason why two bases are not known to be one, or None if they are."""
    shards_a, shards_b = shard_digests(a.files), shard_digests(b.files)
    if shards_a and shards_b:
        return None if shards_a == shards_b else f"{_name(a)} and {_name(b)} have different weights (sha256)"
    if a.repo_id and a.commit and (a.repo_id, a.commit) == (b.repo_id, b.commit):
        return None
    return f"{_name(a)} and {_name(b)} are not known to be the same"


def _name(base: BaseRef) -> str:
    return f"{base.repo_id}@{base.commit[:12]}" if base.repo_id and base.commit else base.repo_id or "a local base"


def _other_tensor(name: str, a: TensorEdit, b: TensorEdit) -> str | None:
    """The reason why a tensor is not the same in both as far as both touch it, or None if it is."""
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return f"{name} is {a.dtype} {list(a.shape)} in one and {b.dtype} {list(b.shape)} in the other"
    shared, at_a, at_b = np.intersect1d(a.indices, b.indices, assume_unique=True, return_indices=True)
    unequal = np.flatnonzero((a.original[at_a] != b.original[at_b]).any(axis=1))
    return f"the originals of {name} differ at position {int(shared[unequal[0]])}" if len(unequal) else None
