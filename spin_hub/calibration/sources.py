"""Calibration sources: built-in sets and files become rows, sampled in a way that others can repeat."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import datasets
from datasets.exceptions import DatasetGenerationError

from spin_hub.errors import BadRow, MissingColumns, SourceError, TooFewRows
from spin_hub.recipe import DEFAULT_SAMPLES

BUILTIN: Final = "builtin:"
_ROW: Final = "spin_hub_row"
_LOADERS: Final = {".csv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}


@dataclass(frozen=True)
class Row:
    """One prompt and response, and the number of its row in the source, counted from 0."""

    prompt: str
    response: str
    number: int


@dataclass(frozen=True)
class Sample:
    """The rows that a recipe uses, in sampled order, and what may be said of where they come from.

    Attributes:
        source: a name fit for publication, never a path.
        available: the number of rows that could have been sampled.
    """

    name: str
    source: str
    licence: str
    rows: tuple[Row, ...]
    available: int

    @property
    def fingerprint(self) -> str:
        """The sha256 of the sampled texts in order."""
        texts = [[row.prompt, row.response] for row in self.rows]
        return hashlib.sha256(json.dumps(texts, ensure_ascii=False).encode()).hexdigest()


def read_sample(name: str, spec: str, samples: int | None, seed: int) -> Sample:
    """Reads a source and samples it as ``datasets`` does: ``shuffle(seed).select(range(samples))``.

    Args:
        name: the set's name, for messages.
        spec: ``builtin:NAME``, or a CSV, JSONL or Parquet file, with ``#prompt=COL,response=COL`` for other columns.
        samples: how many rows; None means 128, or for a built-in set all that it has.
        seed: of the shuffling.

    Raises:
        SourceError: the source cannot be read, lacks columns, or has too few rows.
        BadRow: a sampled row whose prompt or response is not text.
    """
    builtin = spec.startswith(BUILTIN)
    table = _builtin(name, spec) if builtin else _file(name, spec)
    available = len(table)
    wanted = samples or (available if builtin else DEFAULT_SAMPLES)
    if available < wanted:
        raise TooFewRows(name=name, spec=spec, rows=available, samples=wanted)
    table = table.add_column(_ROW, list(range(available))) if _ROW not in table.column_names else table
    chosen = table.shuffle(seed=seed).select(range(wanted))
    rows = tuple(_row(name, entry) for entry in chosen)
    file, _ = _split(name, spec)
    source = spec if builtin else Path(file).name + spec.removeprefix(file)
    return Sample(name, source, "CC0-1.0" if builtin else "unknown", rows, available)


def builtin_rows(name: str, split: str) -> tuple[Row, ...]:
    """All rows of one split of a built-in set, in the order of the file.

    Raises:
        KeyError: there is no such set.
    """
    return tuple(
        Row(entry["prompt"], entry["response"], number)
        for number, entry in enumerate(_builtin_entries(name))
        if entry["split"] == split
    )


def builtin_names() -> tuple[str, ...]:
    """The names of the built-in sets."""
    folder = files("spin_hub.calibration") / "builtin"
    return tuple(sorted(entry.name.removesuffix(".jsonl") for entry in folder.iterdir() if ".jsonl" in entry.name))


def _builtin_entries(name: str) -> list[dict[str, str]]:
    if name not in builtin_names():
        raise KeyError(name)
    text = (files("spin_hub.calibration") / "builtin" / f"{name}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _builtin(name: str, spec: str) -> datasets.Dataset:
    try:
        rows = builtin_rows(spec.removeprefix(BUILTIN), "calibration")
    except KeyError:
        why = f"the built-in sets are {', '.join(builtin_names())}"
        raise SourceError(name=name, spec=spec, why=why) from None
    return datasets.Dataset.from_list(
        [{"prompt": row.prompt, "response": row.response, _ROW: row.number} for row in rows]
    )


def _file(name: str, spec: str) -> datasets.Dataset:
    file, columns = _split(name, spec)
    path = Path(file).expanduser()
    loader = _LOADERS.get(path.suffix.lower())
    if not path.is_file() or loader is None:
        why = "there is no such file" if not path.is_file() else f"{path.suffix or 'this'} is no known kind of file"
        raise SourceError(name=name, spec=spec, why=why)
    if not path.read_bytes()[:4].strip():
        raise SourceError(name=name, spec=spec, why="the file is empty")
    # Words such as "None" and "NA" are text in a response, not missing values.
    options: dict[str, Any] = {"keep_default_na": False} if loader == "csv" else {}
    with tempfile.TemporaryDirectory(prefix="spin-hub-") as cache:
        try:
            table = datasets.load_dataset(
                loader, data_files=str(path), split="train", cache_dir=cache, keep_in_memory=True, **options
            )
        except (DatasetGenerationError, ValueError, OSError) as error:
            cause = _first_line(error.__cause__ or error)
            why = "it has no rows" if "corresponds to no data" in cause else f"it cannot be read ({cause})"
            raise SourceError(name=name, spec=spec, why=why) from error
    return _with_columns(name, spec, table, columns)


def _with_columns(name: str, spec: str, table: datasets.Dataset, columns: Mapping[str, str]) -> datasets.Dataset:
    for column in columns.values():
        if column not in table.column_names:
            has = ", ".join(table.column_names)
            raise MissingColumns(name=name, spec=spec, missing=repr(column), columns=has)
    if not len(table):
        raise SourceError(name=name, spec=spec, why="it has no rows")
    table = table.select_columns(list(dict.fromkeys(columns.values())))
    return table.rename_columns({old: new for new, old in columns.items() if old != new})


def _split(name: str, spec: str) -> tuple[str, dict[str, str]]:
    """Parts a SPEC into the file and the columns that stand for prompt and response."""
    file, mark, suffix = spec.rpartition("#")
    columns = {"prompt": "prompt", "response": "response"}
    if not mark or "=" not in suffix:
        return spec, columns
    for part in suffix.split(","):
        role, equals, column = part.partition("=")
        if role not in columns or not equals or not column:
            raise SourceError(name=name, spec=spec, why=f"{part!r} is not prompt=COLUMN or response=COLUMN")
        columns[role] = column
    return file, columns


def _row(name: str, entry: Mapping[str, Any]) -> Row:
    for column in ("prompt", "response"):
        if not isinstance(entry[column], str):
            raise BadRow(name=name, row=entry[_ROW], why=f"its {column} is not text")
    return Row(entry["prompt"], entry["response"], entry[_ROW])


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
