"""Readers of files by their kind: CSV, JSON, Parquet and Arrow, with cells as the file has them.

READERS has an entry for each kind. A cell of CSV is text as written: ``007`` is not 7, and ``NA`` is a word.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from spin_hub.checkpoint.lfs import refuse_pointer
from spin_hub.data.conversations import is_messages
from spin_hub.data.rows import Table
from spin_hub.data.spec import COMPRESSIONS, FILE_KINDS, kind_of
from spin_hub.errors import first_line

_SEPARATORS: Final = (",", ";", "\t")
_LONGEST_HEADER: Final = 100_000
_BLANKS: Final = re.compile(r"\s*")
_OBJECTS: Final = 'Write one object a row: {"prompt": "...", "response": "..."}.'


class Unreadable(Exception):
    """A file that cannot be read: the reason, and what to do if that is more than the usual hint."""

    def __init__(self, why: str, hint: str | None = None) -> None:
        super().__init__(why)
        self.hint = hint


def read_file(path: Path) -> Table:
    """Read one file by its suffix.

    Raises:
        Unreadable: it is empty, damaged, or of no known kind.
        LfsPointer: it is a Git LFS pointer.
    """
    kind = kind_of(path)
    packed = path.suffix.lower() in COMPRESSIONS
    if kind not in READERS or (packed and kind in _BINARY):
        why = f"{path.suffix or 'a name without suffix'} is not a known kind of file"
        text = ", ".join(suffix for suffix in FILE_KINDS if suffix not in _BINARY)
        hint = f"Known are {', '.join(_BINARY)}, {text}; {text} also with {', '.join(COMPRESSIONS)} after it."
        raise Unreadable(why, hint)
    try:
        refuse_pointer(path)
        return READERS[kind](path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        hint = "It may be damaged or have another kind than its suffix says: write or download it again."
        raise Unreadable(f"{path.name} cannot be read ({reason_of(error, path)})", hint) from error


def reason_of(error: Exception, path: Path) -> str:
    """Return the first line of a library's message, without the path, which may be long and somebody's own."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
        return "a text in it has bytes that are not UTF-8"
    return re.sub(r"\S*" + re.escape(path.name) + r"\S*", path.name, first_line(error, 200)).replace(". ", "; ")


def arrow_table(table: pa.Table) -> Table:
    """Return a table with Arrow's columns as they are stored: nothing that a cell names is opened.

    Raises:
        pyarrow.ArrowInvalid: two columns have the same name.
    """
    if len(set(table.column_names)) < table.num_columns:
        raise pa.ArrowInvalid("two columns have the same name")
    return Table(dict(zip(table.column_names, table.columns, strict=True)))


def checked_table(table: pa.Table) -> Table:
    """Return a table from a file, whose places of texts in memory come from the file too.

    Raises:
        pyarrow.ArrowInvalid: they are wrong, or a text is not UTF-8.
    """
    table.validate(full=True)
    return arrow_table(table)


def _parquet(path: Path) -> Table:
    """Read Parquet: the columns as they are stored."""
    return checked_table(pq.ParquetFile(path).read())


def _arrow(path: Path) -> Table:
    """Read Arrow: the columns as they are stored, in a file or a stream."""
    with pa.memory_map(str(path)) as source:
        try:
            return checked_table(pa.ipc.open_stream(source).read_all())
        except pa.ArrowInvalid:
            return checked_table(pa.ipc.open_file(source).read_all())


def _text(path: Path) -> str:
    """Return the text of a file, unpacked, in UTF-8 or UTF-16."""
    with pa.input_stream(str(path), compression="detect") as stream:
        raw: bytes = stream.read()
    if not raw.strip():
        raise Unreadable("the file is empty")
    # Without a byte order mark every other byte of Western text is 0.
    little, big = (2 * half.count(0) > len(half) > 0 for half in (raw[1:200:2], raw[0:200:2]))
    marked = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return raw.decode("utf-16" if marked else "utf-16-le" if little else "utf-16-be" if big else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        before, after = raw[max(0, error.start - 20) : error.start], raw[error.start : error.start + 20]
        sample = (before.rpartition(b"\n")[2] + after.partition(b"\n")[0]).decode("cp1252", "replace")
        shown = " ".join("".join(c if c.isprintable() else " " for c in sample).split())
        why = f"line {line} of {path.name} is not UTF-8 text; as Windows-1252 (Latin-1) it has {shown!r}"
        hint = f"Save it as UTF-8, if that is right: iconv -f WINDOWS-1252 -t UTF-8 {path.name}"
        raise Unreadable(why, hint) from error


def _csv(path: Path) -> Table:
    """Read CSV: every cell as it is written, between commas, semicolons or tabs as in the header."""
    import pandas  # type: ignore[import-untyped]

    text = _text(path)
    header = re.split(r"[\r\n]", text.lstrip()[:_LONGEST_HEADER], maxsplit=1)[0]
    separator = "\t" if kind_of(path) == ".tsv" else max(_SEPARATORS, key=lambda mark: _likely(header, mark))
    try:
        frame = pandas.read_csv(io.BytesIO(text.encode()), sep=separator, dtype=str, na_filter=False)
    except (ValueError, LookupError) as error:
        raise Unreadable(f"{path.name} is not a whole CSV table ({_csv_reason(error)})") from error
    if not isinstance(frame.index, pandas.RangeIndex):
        more = f"the rows of {path.name} have more cells than its header"
        raise Unreadable(more, 'Put texts that hold the separator in quotes: "Yes, it is.".')
    return Table({str(name): frame[name].tolist() for name in frame.columns})


def _likely(header: str, separator: str) -> tuple[bool, bool, int]:
    """Return a key by which the right separator is the largest: it separates, at no blank, and into most cells."""
    cells = next(csv.reader([header], delimiter=separator), [])
    return len(cells) > 1, all(cell == cell.strip() for cell in cells), len(cells)


def _csv_reason(error: Exception) -> str:
    text = str(error)
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", text):
        return f"line {found[2]} has {found[3]} cells, not {found[1]}; texts that hold the separator need quotes"
    if found := re.search(r"EOF inside string starting at row (\d+)", text):
        return f"the quotes that open in row {found[1]} do not close"
    return first_line(error, 200)


def _json(path: Path) -> Table:
    """Read JSON: an object a line, an array of objects, or an object with such an array as ``data``."""
    text = _text(path)
    try:
        table = Table.of_records(_object(path, value) for value in _values(text))
    except (ValueError, RecursionError) as error:
        line = text.count("\n", 0, getattr(error, "pos", 0)) + 1
        reason = getattr(error, "msg", "a value is too deep or too long")
        raise Unreadable(f"line {line} of {path.name} is not JSON ({reason})") from error
    if len(table) != 1:
        return table
    row = table.entry(0, table.columns)
    if is_messages(data := row.get("data")) and isinstance(data, list):
        return Table.of_records(data)
    if all(isinstance(cell, list) and not is_messages(cell) for cell in row.values()):
        raise Unreadable(f"{path.name} is one row of lists, a list for each column", _OBJECTS)
    return table


def _values(text: str) -> Iterator[Any]:
    """Yield the values that follow one another, and those in an array, one by one so that few are in memory at once."""
    decoder, place, inside = json.JSONDecoder(), _next(text, 0), False
    while place < len(text):
        if not inside and text[place] == "[":
            inside, place = True, _next(text, place + 1)
            if text.startswith("]", place):
                inside, place = False, _next(text, place + 1)
            continue
        value, place = decoder.raw_decode(text, place)
        yield value
        place = _next(text, place)
        if inside:
            if not text.startswith((",", "]"), place):
                break
            inside, place = text[place] == ",", _next(text, place + 1)
    if inside:
        raise json.JSONDecodeError("an array does not end", text, place)


def _next(text: str, place: int) -> int:
    """Return the place of the first character that is not a blank."""
    found = _BLANKS.match(text, place)
    return found.end() if found else place


def _object(path: Path, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not value:
        what = "lists" if isinstance(value, list) else "texts" if isinstance(value, str) else "something else"
        raise Unreadable(f"the rows of {path.name} are {what}, not objects with named values", _OBJECTS)
    return value


READERS: Final[Mapping[str, Callable[[Path], Table]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _json,
    ".ndjson": _json,
    ".json": _json,
    ".parquet": _parquet,
    ".arrow": _arrow,
}
"""The suffix of each of FILE_KINDS -> its reader."""
_BINARY: Final = (".parquet", ".arrow")
