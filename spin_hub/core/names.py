"""Names of tensors as people read them: the layer's number and the matrix in it."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

_LAYERED: Final = re.compile(r"^(?:.*?\.)?(\d+)\.(.+?)(?:\.weight)?$")


def layer_and_matrix(tensor: str) -> tuple[int | None, str]:
    """``model.layers.3.mlp.up_proj.weight`` -> (3, ``mlp.up_proj``); no layer where the name has no number."""
    match = _LAYERED.match(tensor)
    return (int(match[1]), match[2]) if match else (None, tensor.removesuffix(".weight"))


def by_layer(counts: Mapping[str, int]) -> tuple[tuple[str, ...], list[tuple[str, tuple[int, ...], int]]]:
    """Counts per tensor as a table: the matrices as columns, and per layer its label, counts and total."""
    placed = [(*layer_and_matrix(tensor), count) for tensor, count in counts.items()]
    columns = tuple(dict.fromkeys(sorted(matrix for _, matrix, _ in placed)))
    rows = []
    for layer in _layers(layer for layer, _, _ in placed):
        cells = {matrix: count for number, matrix, count in placed if number == layer}
        label = "-" if layer is None else str(layer)
        rows.append((label, tuple(cells.get(column, 0) for column in columns), sum(cells.values())))
    return columns, rows


def _layers(layers: Iterable[int | None]) -> list[int | None]:
    return sorted(set(layers), key=lambda layer: (layer is None, layer or 0))
