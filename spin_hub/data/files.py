"""Tables from files: one file, those of a folder or of a pattern, or a data set that ``save_to_disk`` wrote."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import datasets
import pyarrow as pa  # type: ignore[import-untyped]

from spin_hub.data.formats import READERS, Unreadable, checked_table, read_file, reason_of
from spin_hub.data.rows import Table
from spin_hub.data.spec import DEFAULT_SPLIT, FILE_KINDS, Spec, kind_of, paths_of

_SAVED, _SAVED_SPLITS = "state.json", "dataset_dict.json"
# Descriptions of data that lie beside them.
_ABOUT: Final = frozenset({_SAVED, _SAVED_SPLITS, "dataset_info.json", "dataset_infos.json"})
_SPLITS: Final = re.compile(r"(?:^|[^a-z])(train|test|valid|validation|dev|eval)(?:[^a-z]|$)")


def read_table(spec: Spec) -> Table:
    """Read the table of a file, a folder or a pattern.

    Raises:
        SourceError: it is empty, of no known kind, or cannot be read.
        LfsPointer: a file is a Git LFS pointer.
    """
    path = Path(spec.target).expanduser()
    try:
        if path.is_dir() and any((path / name).is_file() for name in (_SAVED, _SAVED_SPLITS)):
            return _saved(path)
        paths = _files_in(path) if path.is_dir() else [path] if path.exists() else paths_of(spec.target)
        tables = [read_file(path) for path in paths]
        table = tables[0] if len(tables) == 1 else _stacked(paths, tables)
    except Unreadable as error:
        raise spec.refused(str(error), error.hint) from error
    if not len(table):
        raise spec.refused("it has no rows")
    return table


def _files_in(folder: Path) -> list[Path]:
    """Return the data files in a folder, which are of one kind and one split."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in _ABOUT)
    inside = [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    files = [path for path in inside if kind_of(path) in READERS]
    kinds = {kind_of(path) for path in files}
    splits = {match[1] for path in files if (match := _SPLITS.search(path.relative_to(folder).as_posix().lower()))}
    hint = f"Name some by a pattern, such as {folder.name}/{DEFAULT_SPLIT}-*{min(kinds, default='.parquet')}."
    if not files:
        raise Unreadable(f"the folder holds no file of a known kind ({', '.join(FILE_KINDS)})")
    if len(kinds) > 1:
        raise Unreadable(f"the folder holds files of several kinds ({', '.join(sorted(kinds))})", hint)
    if len(splits) > 1:
        raise Unreadable(f"the folder holds files of several splits ({', '.join(sorted(splits))})", hint)
    return files


def _stacked(paths: Sequence[Path], tables: Sequence[Table]) -> Table:
    whole = [(path, table) for path, table in zip(paths, tables, strict=True) if len(table)]
    if not whole:
        return tables[0]
    first, names = whole[0][0].name, whole[0][1].column_names
    for path, table in whole:
        if set(table.column_names) != set(names):
            differing = sorted(set(table.column_names) ^ set(names))
            raise Unreadable(
                f"its files have different columns: {differing[0]!r} is not in both {first} and {path.name}"
            )
    return Table({name: _stack([table.columns[name] for _, table in whole]) for name in names})


def _stack(columns: Sequence[Any]) -> Any:
    types = [getattr(column, "type", None) for column in columns]
    if types[0] is not None and all(kind == types[0] for kind in types):
        return pa.chunked_array([chunk for column in columns for chunk in column.chunks], types[0])
    return [cell for column in columns for cell in (column if isinstance(column, list) else column.to_pylist())]


def _saved(folder: Path) -> Table:
    """Read what ``save_to_disk`` wrote; of several splits the one for training."""
    try:
        found = datasets.load_from_disk(str(folder))
        if isinstance(found, datasets.DatasetDict):
            if DEFAULT_SPLIT not in found:
                hint = f"Write {folder.name}/{next(iter(found), 'SPLIT')}."
                raise Unreadable(f"it has no split {DEFAULT_SPLIT} (it has: {', '.join(found)})", hint)
            found = found[DEFAULT_SPLIT]
        return checked_table(found.with_format("arrow")[:])
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise Unreadable(f"it is not a whole folder of save_to_disk ({reason_of(error, folder)})") from error
