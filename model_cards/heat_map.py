"""The map of an edit: how many weights of each layer and matrix were set to zero."""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spin_hub.core.names import Table
from spin_hub.model_cards.canvas import FAINT, INK, Canvas, line_height, plain, width, wrapped

HEAT_MAP: Final = "heat-map.png"
"""The name of its file."""

Counts = NDArray[np.int64]

SCALE: Final = ("#e8f3f5", "#bedee7", "#96c8db", "#71afce", "#5195be", "#3d79a8", "#355e8c", "#31446c", "#2a2e4c")
"""Equal steps in CIELAB from near-white to dark blue, so that equal steps of a count look equal."""

_EMPTY: Final = "#fcfcfd"
_EDGE: Final = "#d9dde2"
_ZERO: Final = "#a3a9b1"
_NOTE: Final = "Each cell: weights that the edit set to zero in this layer's matrix. Under a matrix's name: their sum."
_NUMBERED: Final = 48
_FILLED: Final = 512
_MOST: Final = 16
_MARGIN: Final = 14
# Of a PNG: its signature, and the chunk with its size.
_HEADER: Final = 33


@dataclass(frozen=True)
class _Grid:
    """Where the cells lie, in pixels.

    Attributes:
        left: the left edge of the first column.
        top: the top edge of the first row.
        cell: the width of a column.
        height: the height of all rows.
        rows: how many there are.
        columns: how many there are.
    """

    left: int
    top: int
    cell: int
    height: int
    rows: int
    columns: int

    def x(self, column: float) -> int:
        """The left edge of a column."""
        return self.left + round(column * self.cell)

    def y(self, row: float) -> int:
        """The top edge of a row."""
        return self.top + round(row * self.height / self.rows)


def heat_map(table: Table, title: str, path: Path) -> None:
    """Write how many weights were set to zero, per layer (downwards) and matrix (across), as PNG.

    Layers without an edit have a row too; where there are many experts, a layer's experts share a column.
    """
    _drawn(table, title)[0].save(path)


def title_of(name: str, weights: int) -> str:
    """Return the title of the map of an edit."""
    return f"Weights of {name} set to zero: {weights:,}"


def is_heat_map(png: bytes, table: Table, title: str) -> bool | None:
    """Compare an untrusted picture with the map of a table.

    Returns:
        True if every pixel is the map's, False if it is another picture or a cell has another colour, None if the
        lettering alone differs: other versions of Pillow draw it otherwise.
    """
    from PIL import Image

    canvas, grid = _drawn(table, title)
    size = struct.unpack(">II", png[16:24]) if len(png) > _HEADER and png.startswith(b"\x89PNG") else (0, 0)
    # Larger ones are never unpacked.
    if any(abs(there - here) > 0.02 * here for there, here in zip(size, canvas.image.size, strict=True)):
        return False
    try:
        with Image.open(BytesIO(png), formats=["PNG"]) as opened:
            found = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError, struct.error):
        return False
    if found.size == canvas.image.size and found.tobytes() == canvas.image.tobytes():
        return True
    middles = [(grid.x(column) + 3, (grid.y(row) + max(grid.y(row) + 1, grid.y(row + 1))) // 2)
               for row in range(grid.rows) for column in range(grid.columns)]  # fmt: skip
    within = [(x, y) for x, y in middles if x < found.width and y < found.height]
    return None if all(found.getpixel(place) == canvas.image.getpixel(place) for place in within) else False


def _drawn(table: Table, title: str) -> tuple[Canvas, _Grid]:
    labels, cells = rows_of(table)
    names, counts = columns_of(table.columns, cells)
    labels = ["none" if label == "-" else plain(label, 12) for label in labels]
    note = _NOTE + (" * stands for every expert." if any("*" in name for name in names) else "")
    sums = [f"{total:,}" for total in counts.sum(0).tolist()]
    cell = 195 if len(names) <= 4 else 82
    longest = max(width(text) for text in (*names, *sums))
    turned = longest > cell - 8
    above = 0.75 * longest if turned else 0

    left = round(2 * _MARGIN + line_height() + max(map(width, labels)))
    right = max(170, round(above) - cell // 2 + _MARGIN)
    across = max(900, left + cell * len(names) + right)
    heading = wrapped(plain(title, 200), across - 2 * _MARGIN, 11, bold=True)
    reading = wrapped(note, across - 2 * _MARGIN, 8)
    top = round(_MARGIN + len(heading) * line_height(11) + above + 2.7 * line_height())
    height = min(max(150, len(labels) * (28 if len(labels) <= _NUMBERED else 12)), 1575)
    grid = _Grid(left, top, cell, height, len(labels), len(names))

    canvas = Canvas(across, top + height + 2 * _MARGIN + len(reading) * line_height(8))
    canvas.lines((_MARGIN, _MARGIN), heading, 11, INK, bold=True)
    canvas.lines((_MARGIN, top + height + _MARGIN), reading, 8, FAINT)
    _cells(canvas, grid, counts)
    _row_labels(canvas, grid, labels)
    for column, (name, total) in enumerate(zip(names, sums, strict=True)):
        _column_label(canvas, (grid.x(column + 0.5), top - 6), name, total, turned)
    _legend(canvas, grid, max(1, int(counts.max())))
    return canvas, grid


def rows_of(table: Table) -> tuple[list[str], Counts]:
    """Return the labels of the rows and their counts, of shape (rows, columns); layers without an edit too."""
    none = (0,) * len(table.columns)
    cells = dict(table.rows) or {"0": none}
    numbers = [int(label) for label in cells if label.isdecimal()]
    filled = range(max(numbers, default=-1) + 1) if max(numbers, default=0) < _FILLED else numbers
    labels = [*map(str, filled), *(label for label in cells if not label.isdecimal())]
    return labels, np.array([cells.get(label, none) for label in labels], np.int64)


def columns_of(names: Sequence[str], cells: Counts) -> tuple[list[str], Counts]:
    """Return the columns worth drawing: experts share one, and the rarest of many names too; no count is lost."""
    sums: dict[str, Counts] = {} if names else {"-": np.zeros(len(cells), np.int64)}
    for name, column in zip(names, cells.T, strict=True):
        key = re.sub(r"\.\d+(?=\.|$)", ".*", name) if len(names) > _MOST else name
        sums[key] = sums.get(key, np.zeros_like(column)) + column
    kept = sorted(sums, key=lambda name: int(sums[name].sum()), reverse=True)[: _MOST - 1]
    chosen = {name: sums[name] for name in sums if name in kept}
    if others := [sums[name] for name in sums if name not in kept]:
        chosen[f"{len(others)} others"] = np.sum(others, axis=0)
    return [plain(name) for name in chosen], np.stack(list(chosen.values()), axis=1)


def shade(share: float) -> str:
    """Return the colour of a count, given as a share of the greatest."""
    place = share * (len(SCALE) - 1)
    low = min(int(place), len(SCALE) - 2)
    ends = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in SCALE[low : low + 2]]
    return "#" + "".join(f"{round(a + (b - a) * (place - low)):02x}" for a, b in zip(*ends, strict=True))


def _cells(canvas: Canvas, grid: _Grid, counts: Counts) -> None:
    most, edge = max(1, int(counts.max())), _EDGE if grid.height >= 6 * grid.rows else None
    colours = {count: shade(count / most) if count else _EMPTY for count in np.unique(counts).tolist()}
    for row, line in enumerate(counts.tolist()):
        top, bottom = grid.y(row), max(grid.y(row) + 1, grid.y(row + 1))
        for column, count in enumerate(line):
            start, end = (grid.x(column), top), (grid.x(column + 1), bottom)
            canvas.box(start, end, colours[count], edge)
            text = f"{count}" if count < 10_000 else f"{count / 1e3:.0f}k" if count < 1e6 else f"{count / 1e6:.0f}M"
            if grid.rows <= _NUMBERED and width(text, 7) <= grid.cell - 4:
                colour = _ZERO if count == 0 else "white" if count > 0.55 * most else INK
                canvas.text((grid.x(column + 0.5), (top + bottom) / 2), text, 7, colour, "mm")


def _row_labels(canvas: Canvas, grid: _Grid, labels: Sequence[str]) -> None:
    step = 1
    while step * grid.height < line_height() * grid.rows:
        step *= 2
    for row in range(0, len(labels), step):
        canvas.text((grid.left - 8, (grid.y(row) + grid.y(row + 1)) / 2), labels[row], anchor="rm")
    canvas.turned((_MARGIN + line_height() / 2, grid.y(grid.rows / 2)), "layer", 90, FAINT)


def _column_label(canvas: Canvas, at: tuple[int, int], name: str, total: str, turned: bool) -> None:
    if turned:
        canvas.turned(at, f"{name}\n{total}", 45)
        return
    canvas.text((at[0], at[1] - line_height()), name, anchor="mb")
    canvas.text(at, total, colour=FAINT, anchor="mb")


def _legend(canvas: Canvas, grid: _Grid, most: int) -> None:
    left, low = grid.x(grid.columns) + 24, grid.top + grid.height
    for pixel in range(grid.height):
        canvas.box((left, low - pixel), (left + 16, low - pixel), shade(pixel / grid.height))
    step = next(step for power in range(19) for base in (1, 2, 5) if 6 * (step := base * 10**power) >= most)
    for tick in range(0, most + 1, step):
        y = low - round(tick / most * grid.height)
        canvas.box((left + 16, y), (left + 21, y), FAINT)
        canvas.text((left + 26, y), f"{tick:,}", 8, anchor="lm")
    canvas.turned((left + 26 + width(f"{most:,}", 8) + line_height(), grid.y(grid.rows / 2)), "weights set to zero", 90,
                 FAINT)  # fmt: skip
