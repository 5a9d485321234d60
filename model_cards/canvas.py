"""What plots are drawn on: a canvas of Pillow, and a sheet of matplotlib in the same font and colours.

Every output has a heat map, and matplotlib's import takes longer than patching a checkpoint of a gigabyte, so that the
heat map is drawn on the canvas; all other plots are drawn on the sheet.
"""

import math
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from PIL.ImageFont import FreeTypeFont

DOTS: Final = 150
"""Pixels per inch of every plot."""
INK: Final = "#22262b"
FAINT: Final = "#6b727b"
SIZE: Final = 8.5
"""The default size of text, in points."""

PALETTE: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's colours, which any colour vision tells apart."""
STYLE: Final[dict[str, Any]] = {
    "text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 8.5, "text.color": INK,
    "axes.labelcolor": INK, "axes.edgecolor": "#b9bfc6", "axes.spines.top": False, "axes.spines.right": False,
    "xtick.color": INK, "ytick.color": INK, "figure.facecolor": "white", "figure.constrained_layout.h_pad": 0.08,
}  # fmt: skip
"""Names come from untrusted files, so no text is ever read as mathematics."""

STATES: Final = {"base": "#555b63", "edited": PALETTE[0], "control": PALETTE[1]}

_ASCII: Final = frozenset(map(chr, range(0x20, 0x7F)))
_NO_CHARACTER: Final = "\U0010ffff"

Point = tuple[float, float]
"""x and y in pixels, from the upper left corner."""


class Canvas:
    """A white sheet.

    Args:
        width: in pixels.
        height: in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        from PIL import Image, ImageDraw

        self.image = Image.new("RGB", (width, height), "white")
        self._draw = ImageDraw.Draw(self.image)

    def box(self, start: Point, end: Point, colour: str, edge: str | None = None) -> None:
        """Draw a filled box; both corners belong to it."""
        self._draw.rectangle((*start, *end), colour, edge)

    def text(self, at: Point, text: str, size: float = SIZE, colour: str = INK, anchor: str = "la") -> None:
        """Draw a line of text; the anchor is the place of ``at`` in it, as Pillow names it ("mm": its middle)."""
        self._draw.text(at, text, colour, font(size), anchor)

    def lines(self, at: Point, lines: list[str], size: float, colour: str, bold: bool = False) -> None:
        """Draw lines of text below each other; ``at`` is the upper left corner."""
        for number, line in enumerate(lines):
            self._draw.text((at[0], at[1] + number * line_height(size)), line, colour, font(size, bold))

    def turned(self, at: Point, text: str, angle: int, colour: str = INK) -> None:
        """Draw text at an angle in degrees: around ``at`` if it is 90, otherwise upwards to the right from there."""
        from PIL import Image, ImageDraw

        _, _, right, bottom = self._draw.multiline_textbbox((0, 0), text, font(SIZE))
        mask = Image.new("L", (math.ceil(right) + 2, math.ceil(bottom) + 2))
        ImageDraw.Draw(mask).multiline_text((0, 0), text, 255, font(SIZE))
        mask = mask.rotate(angle, Image.Resampling.BICUBIC, expand=True)
        x, y = (mask.width / 2, mask.height / 2) if angle == 90 else (line_height(SIZE), mask.height)
        self.image.paste(colour, (round(at[0] - x), round(at[1] - y)), mask)

    def save(self, path: Path) -> None:
        """Write it as PNG."""
        self.image.save(path, format="PNG", dpi=(DOTS, DOTS))


@contextmanager
def sheet(path: Path, size: tuple[float, float], title: str, note: str) -> Iterator["Figure"]:
    """A figure of that size in inches, with a title above and a reading aid below, written as a small PNG on leaving.

    The user's style is set aside meanwhile, so that equal plots are equal files.
    """
    from matplotlib import style
    from matplotlib.figure import Figure
    from PIL import Image

    with style.context(["default", STYLE]):
        figure = Figure(figsize=size, dpi=DOTS, layout="constrained")
        heading = textwrap.fill(plain(title, 200), int(size[0] * 10), break_on_hyphens=False)
        figure.suptitle(heading, x=0.01, ha="left", fontsize=11, fontweight="bold")
        figure.supxlabel(textwrap.fill(note, int(size[0] * 14.5)), x=0.01, ha="left", fontsize=8, color=FAINT)
        yield figure
        figure.savefig(drawn := BytesIO(), format="png")
    Image.open(drawn).convert("RGB").quantize(256).save(path, format="PNG", optimize=True, dpi=(DOTS, DOTS))


def log_figures(axis: "Axis", form: str = ".3g") -> None:
    """Write the figures of a logarithmic axis in plain digits, those between its powers of ten too.

    Matplotlib's own are in its mathematical notation, which no plot reads (``STYLE``).

    Args:
        axis: an axis whose scale is set.
        form: the format of a figure, such as ``.3g``.
    """
    from matplotlib.ticker import LogFormatter

    class Between(LogFormatter):
        """Figures between powers of ten, where matplotlib labels them."""

        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:{form}}" if super().__call__(x, pos) else ""

    axis.set_major_formatter(lambda number, _: f"{number:{form}}")
    axis.set_minor_formatter(Between(labelOnlyBase=False, minor_thresholds=(1, 0.4)))


@cache
def font(points: float, bold: bool = False) -> "FreeTypeFont":
    """DejaVu Sans in that size, in points.

    The file is matplotlib's, found without importing it: the import takes longer than all else about a plot.
    """
    from PIL import ImageFont

    found = find_spec("matplotlib")
    assert found is not None and found.origin is not None
    folder = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), points * DOTS / 72)


def width(text: str, points: float = SIZE) -> float:
    """Return the width of a line of text, in pixels."""
    return font(points).getlength(text)


def line_height(points: float = SIZE) -> int:
    """Return the distance of two lines of text, in pixels."""
    return round(1.25 * points * DOTS / 72)


def wrapped(text: str, pixels: float, points: float, bold: bool = False) -> list[str]:
    """Text as lines that are about that wide at most."""
    letters = int(0.98 * pixels * len(text) / max(1.0, font(points, bold).getlength(text)))
    return textwrap.wrap(text, max(1, letters), break_on_hyphens=False)


def plain(text: object, width: int = 28) -> str:
    """Untrusted text as one line of characters that the font has, shortened in its middle."""
    line = "".join(letter if _known(letter) else "□" for letter in " ".join(str(text).split()))
    return line if len(line) <= width else f"{line[: width // 2]}…{line[width // 2 + 1 - width :]}"


def _known(letter: str) -> bool:
    return letter in _ASCII or _shape(letter) != _shape(_NO_CHARACTER)


@cache
def _shape(letter: str) -> bytes:
    return bytes(font(SIZE).getmask(letter))
