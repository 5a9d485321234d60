"""Calibration sources: built-in sets, recipes, files and Hub data sets become rows, sampled repeatably."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import datasets
import pyarrow as pa  # type: ignore[import-untyped]
from datasets.exceptions import DatasetsError
from huggingface_hub.errors import HTTPError

from spin_hub.data.builtin import LICENCE, builtin_names, builtin_rows
from spin_hub.data.recipes import RECIPES
from spin_hub.data.rows import NUMBER, ROLES, Row, conversation_column, make_row
from spin_hub.data.spec import FILE_KINDS, Spec
from spin_hub.errors import HubUnreachable, MissingColumns, TooFewRows
from spin_hub.recipe import DEFAULT_SAMPLES
from spin_hub.record import DatasetRef

_JSON: Final = getattr(datasets, "Json", ())
"""Decoded from its own text alone; the first versions of the library do not have it."""


def undecoded(table: datasets.Dataset) -> datasets.Dataset:
    """The table with media columns undecoded, as paths and bytes.

    A table brings the types of its columns along, so a stranger's file decides what reading a row does.

    Raises:
        pyarrow.ArrowException, TypeError, ValueError: a column's values are not of the type that it claims.
    """
    for name, feature in table.features.items():
        plain = _plain(feature)
        if plain != feature:
            table = table.cast_column(name, plain)
    return table


def _plain(feature: Any) -> Any:
    if isinstance(feature, dict):
        return {name: _plain(entry) for name, entry in feature.items()}
    if isinstance(feature, list | tuple):
        return [_plain(entry) for entry in feature]
    if isinstance(feature, datasets.List | datasets.LargeList):
        return replace(feature, feature=_plain(feature.feature))
    decodes = getattr(feature, "decode", False) and not isinstance(feature, _JSON)
    return replace(feature, decode=False) if decodes else feature


__all__ = ["Resolve", "Row", "Sample", "Sampling", "read_sample"]

Resolve = Callable[[str, str | None], DatasetRef]
"""From the id of a data set and a revision, or None, to its commit; the Hub's room has one."""

# The library raises ValueError for a wrong split or configuration, RuntimeError for a data set that is a script, and
# all kinds of errors where a table says strange things of its own columns.
_UNREADABLE: Final = (
    DatasetsError, pa.ArrowException, LookupError, AttributeError, ArithmeticError, ImportError, TypeError, ValueError,
    RuntimeError, OSError,
)  # fmt: skip


@dataclass(frozen=True)
class Sampling:
    """The number of rows (None: 128, or all of a built-in set) and the seed of the shuffling."""

    samples: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Sample:
    """The rows that a recipe uses, in sampled order, and what may be said of where they come from.

    Attributes:
        source: a SPEC fit for publication: never a path, and with the commit of a data set.
        available: the number of rows that could have been sampled.
        dataset: the data set of the Hub, at its commit.
        note: what a reader must know of a named recipe, such as that it is approximate.
    """

    name: str
    source: str
    licence: str
    rows: tuple[Row, ...]
    available: int
    dataset: DatasetRef | None = None
    note: str = ""

    @property
    def fingerprint(self) -> str:
        """The sha256 of the sampled texts in order."""
        texts = [[row.prompt, row.response] for row in self.rows]
        return hashlib.sha256(json.dumps(texts, ensure_ascii=False).encode()).hexdigest()


def read_sample(name: str, spec: str, sampling: Sampling, resolve: Resolve) -> Sample:
    """Read a source and sample it as ``datasets`` does: ``shuffle(seed).select(range(samples))``.

    Args:
        name: the set's name, for messages.
        spec: ``builtin:NAME``, a recipe, a file, or a data set of the Hub.
        sampling: how many rows, and the seed.
        resolve: finds the commit of a data set.

    Raises:
        SourceError: the source cannot be read, lacks columns, or has too few rows.
        BadRow: a sampled row whose prompt or response is empty or not text.
        AccessDenied, HubUnreachable: the data set cannot be had.
    """
    source = Spec.parse(name, spec)
    table, licence, ref = _open(source, resolve)
    wanted = sampling.samples or (len(table) if source.kind == "builtin" else DEFAULT_SAMPLES)
    if len(table) < wanted:
        raise TooFewRows(name=name, spec=spec, rows=len(table), samples=wanted)
    chosen = table.shuffle(seed=sampling.seed, keep_in_memory=True).select(range(wanted))
    try:
        rows = tuple(make_row(name, entry) for entry in chosen)
    except UnicodeDecodeError as error:
        raise source.refused("a row holds bytes that are not UTF-8 text") from error
    note = RECIPES[source.target].note if source.target in RECIPES else ""
    return Sample(name, source.published(ref.commit if ref else None), licence, rows, len(table), ref, note)


def _open(spec: Spec, resolve: Resolve) -> tuple[datasets.Dataset, str, DatasetRef | None]:
    """All rows that may be sampled, their licence, and the data set that they are of."""
    match spec.kind:
        case "builtin":
            return _builtin(spec), LICENCE, None
        case "file":
            return _rows_of(spec, read_table(spec)), "unknown", None
        case "recipe":
            return _recipe(spec, resolve)
        case "hub":
            ref = resolve(spec.target, spec.revision)
            return _rows_of(spec, read_dataset(spec, ref)), ref.licence, ref


def _builtin(spec: Spec) -> datasets.Dataset:
    try:
        rows = builtin_rows(spec.target, "calibration")
    except KeyError:
        raise spec.refused(f"the built-in sets are {', '.join(builtin_names())}") from None
    entries = [{"prompt": row.prompt, "response": row.response, NUMBER: row.number} for row in rows]
    return datasets.Dataset.from_list(entries)


def read_table(spec: Spec) -> datasets.Dataset:
    """A file's table.

    Raises:
        SourceError: it is empty, of no known kind, or cannot be read.
    """
    path = Path(spec.target).expanduser()
    loader = FILE_KINDS.get(path.suffix.lower())
    if loader is None:
        raise spec.refused(f"{path.suffix or 'this'} is not a known kind of file")
    with path.open("rb") as file:
        if not file.read(4).strip():
            raise spec.refused("the file is empty")
    # Words such as "None" and "NA" are text in a response, not missing values.
    options: dict[str, Any] = {"keep_default_na": False} if loader == "csv" else {}
    with tempfile.TemporaryDirectory(prefix="spin-hub-", ignore_cleanup_errors=True) as cache:
        options |= {"data_files": str(path), "cache_dir": cache, "keep_in_memory": True}
        try:
            table = datasets.load_dataset(loader, split="train", **options)
            # Bytes that are no UTF-8 are found here, and not when a row is read.
            table.data.validate(full=True)
            return undecoded(table)
        except _UNREADABLE as error:
            raise spec.refused(_why(error)) from error


def _recipe(spec: Spec, resolve: Resolve) -> tuple[datasets.Dataset, str, DatasetRef]:
    recipe = RECIPES.get(spec.target)
    if recipe is None:
        raise spec.refused(f"the recipes are {', '.join(RECIPES)}")
    ref = resolve(recipe.dataset_id, spec.revision)
    table = read_dataset(Spec(spec.name, spec.text, "hub", recipe.dataset_id, split=recipe.split), ref)
    _require(spec, table, recipe.columns)
    try:
        return recipe.rows(table), recipe.licence.format(card=ref.licence), ref
    except pa.ArrowException as error:
        raise spec.refused(f"a column is not of the kind that the recipe knows ({_short(error)})") from error


def read_dataset(spec: Spec, ref: DatasetRef) -> datasets.Dataset:
    """The table of a data set on the Hub, at a commit.

    Raises:
        SourceError: it cannot be read, or has no such configuration or split.
        HubUnreachable: no answer, and the cache holds another commit.
    """
    try:
        table = datasets.load_dataset(
            ref.dataset_id, spec.config, split=spec.split, revision=ref.commit, keep_in_memory=False
        )
    except (ConnectionError, HTTPError) as error:
        raise HubUnreachable(model=ref.dataset_id, why=_short(error)) from error
    except _UNREADABLE as error:
        raise spec.refused(_why(error)) from error
    # When the Hub does not answer, the library takes what it prepared last, of whatever commit.
    if any(Path(entry["filename"]).parent.name != ref.commit for entry in table.cache_files):
        raise HubUnreachable(model=ref.dataset_id, why=f"the cache does not hold its commit {ref.commit}")
    try:
        return undecoded(table)
    except _UNREADABLE as error:
        raise spec.refused(_why(error)) from error


def _rows_of(spec: Spec, table: datasets.Dataset) -> datasets.Dataset:
    """The columns that matter, by their common names, and the rows' numbers."""
    conversation = None if spec.columns else conversation_column(table.column_names)
    columns = {conversation: conversation} if conversation else {role: spec.columns.get(role, role) for role in ROLES}
    _require(spec, table, columns.values())
    if not len(table):
        raise spec.refused("it has no rows")
    numbers = datasets.Dataset.from_dict({NUMBER: range(len(table))})
    chosen = {name: table.select_columns([column]).rename_columns({column: name}) for name, column in columns.items()}
    return datasets.concatenate_datasets([*chosen.values(), numbers], axis=1)


def _require(spec: Spec, table: datasets.Dataset, columns: Iterable[str]) -> None:
    for column in columns:
        if column not in table.column_names:
            has = ", ".join(table.column_names)
            raise MissingColumns(name=spec.name, spec=spec.text, missing=repr(column), columns=has)


def _why(error: BaseException) -> str:
    cause = _short(error.__cause__ or error)
    return "it has no rows" if "corresponds to no data" in cause else f"it cannot be read ({cause})"


def _short(error: BaseException) -> str:
    """The beginning of another library's message, as a part of a sentence of ours."""
    lines = [line.strip().rstrip(".:") for line in str(error).splitlines()[:2]] or [type(error).__name__]
    return "; ".join(filter(None, lines)).replace(". ", "; ")[:300]
