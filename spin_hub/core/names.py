"""Tensor names: the layer and the matrix in them, and parts of a model that are selected by name."""

import fnmatch
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from spin_hub.errors import UsageError

# No part can fail after a long search: an untrusted name may have any length and characters.
_LAYERED: Final = re.compile(r"^(?:.*?\.)?(\d{1,9})\.(.+?)(?:\.weight)?$", re.DOTALL)


def layer_and_matrix(tensor: str) -> tuple[int | None, str]:
    """``model.layers.3.mlp.up_proj.weight`` -> (3, ``mlp.up_proj``); no layer where the name has no number."""
    match = _LAYERED.match(tensor)
    return (int(match[1]), match[2]) if match else (None, tensor.removesuffix(".weight"))


@dataclass(frozen=True)
class Table:
    """Counts per layer (rows, by label) and matrix (columns, by name)."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def totals(self) -> tuple[int, ...]:
        """The sum of every column."""
        return tuple(sum(cells[number] for _, cells in self.rows) for number in range(len(self.columns)))


def by_layer(counts: Mapping[str, int]) -> Table:
    """Counts per tensor as a table; tensors without a layer are a last row of their own."""
    placed = [(*layer_and_matrix(tensor), count) for tensor, count in counts.items()]
    columns = tuple(sorted({matrix for _, matrix, _ in placed}))
    rows = []
    for layer in _layers(layer for layer, _, _ in placed):
        cells: Counter[str] = Counter()
        for number, matrix, count in placed:
            cells[matrix] += count if number == layer else 0
        rows.append(("-" if layer is None else str(layer), tuple(cells[column] for column in columns)))
    return Table(columns, tuple(rows))


def _layers(layers: Iterable[int | None]) -> list[int | None]:
    return sorted(set(layers), key=lambda layer: (layer is None, layer or 0))


ALL: Final = "all"
_ATTENTION: Final = re.compile(r"attn|attention")
_PATTERN: Final = re.compile(r"[^\s`\x00-\x1f\x7f]{1,256}")
_RANGE: Final = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")


@dataclass(frozen=True)
class Part:
    """A part of a model: its matrices by a pattern, its layers by a range.

    Attributes:
        target: ``all``, ``mlp``, ``self_attn``, or a glob pattern of parameter names.
        layers: ``all``, a number, or a range such as ``4-11``, both ends included.

    Raises:
        UsageError: layers of another form, or a pattern that no name can match.
    """

    target: str = ALL
    layers: str = ALL

    def __post_init__(self) -> None:
        if not _PATTERN.fullmatch(self.target):
            raise UsageError(message=f"A part is all, mlp, self_attn or a pattern of names, not {self.target[:40]!r}.")
        if _first_and_last(self.layers) is None and self.layers != ALL:
            raise UsageError(message=f"Layers are given as 'all', 7 or 4-11, not {self.layers[:40]!r}.")

    @classmethod
    def from_json(cls, method: Mapping[str, Any]) -> "Part":
        """The part that a delta's method names; all of the model where it names none."""
        return cls(method.get("part", ALL), method.get("layers", ALL))

    def __str__(self) -> str:
        named = [self.target] if self.target != ALL else []
        return ", ".join(named + ([f"layers {self.layers}"] if self.layers != ALL else [])) or ALL

    def holds(self, parameter: str) -> bool:
        """True if a parameter lies in it."""
        layer, matrix = layer_and_matrix(parameter)
        wanted = _first_and_last(self.layers)
        if wanted and (layer is None or not wanted[0] <= layer <= wanted[1]):
            return False
        if self.target in ("mlp", "self_attn"):
            return layer is not None and is_attention(matrix) == (self.target == "self_attn")
        return self.target == ALL or fnmatch.fnmatchcase(parameter, self.target)


def is_attention(matrix: str) -> bool:
    """True if a decoder layer's matrix or module, by its name within the layer, belongs to attention."""
    return bool(_ATTENTION.search(matrix.partition(".")[0]))


def _first_and_last(layers: str) -> tuple[int, int] | None:
    """The ends of a range of layers; None if it is not a range."""
    match = _RANGE.fullmatch(layers)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    return (first, last) if first <= last else None


WHOLE: Final = Part()
"""A part that leaves nothing out."""
