"""Calibration sources, opened: the table of a built-in set, a recipe, a file or a data set, and the columns to read."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import pyarrow as pa  # type: ignore[import-untyped]

from spin_hub.data.builtin import LICENCE, builtin_names, builtin_rows
from spin_hub.data.files import read_table
from spin_hub.data.hub_tables import read_dataset, short
from spin_hub.data.recipes import RECIPES
from spin_hub.data.rows import NUMBER, ROLES, Columns, Row, Table, known_columns, make_row
from spin_hub.data.spec import Spec, local_part
from spin_hub.errors import MissingColumns
from spin_hub.record import DatasetRef

# From the id of a data set and a revision, or None, to its commit; the Hub's room has one.
Resolve: TypeAlias = Callable[[str, str | None], DatasetRef]

_PAIR: Final = Columns(("prompt",), ("response",))
# Columns that seem to be a part of the prompt.
_OF_THE_PROMPT: Final = (
    "system", "system_prompt", "system_message", "instruction", "instructions", "input", "inputs", "context", "passage",
    "document", "history", "tools",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """An opened source.

    Attributes:
        columns: those that are read.
        ref: the data set of the Hub, at its commit.
        note: what a reader must know of a named recipe, such as that it is approximate.
        numbers: of the rows, if they are not their places in the table.
    """

    spec: Spec
    table: Table
    columns: Columns
    licence: str = "unknown"
    ref: DatasetRef | None = None
    note: str = ""
    numbers: Sequence[int] | None = None

    @property
    def published(self) -> str:
        """A SPEC fit for publication."""
        return self.spec.published(self.ref.commit if self.ref else None)

    def number(self, place: int) -> int:
        """Return the number of a row in the source, counted from 0."""
        return place if self.numbers is None else self.numbers[place]

    def row(self, place: int) -> Row:
        """Read one row.

        Raises:
            Unusable: it has no prompt and response.
        """
        return make_row(self.columns, self.table.entry(place, self.columns.names), self.number(place))

    def unread(self) -> Iterator[str]:
        """Yield a clause for each column that seems to belong to the prompt, has content, and is not read."""
        unread = [name for name in _OF_THE_PROMPT if name in self.table.columns and name not in self.columns.names]
        for column in unread:
            if filled := self.table.filled(column):
                way = f"system={column}" if column.startswith("system") else f"prompt=COLUMN+{column}"
                reads = f" (#{way} reads it)" if self.table.is_text(column) else ""
                rows = f"{filled} of {len(self.table)} rows"
                yield f"the column {column!r} has content in {rows} and is not read{reads}"


def open_source(spec: Spec, resolve: Resolve) -> Source:
    """Open a source and find the columns that are read.

    Raises:
        SourceError: it cannot be read, has no rows, or lacks columns.
        AccessDenied, HubUnreachable: the data set cannot be had.
    """
    match spec.kind:
        case "builtin":
            return _builtin(spec)
        case "recipe":
            return _recipe(spec, resolve)
        case "file":
            table = read_table(spec)
            return Source(spec, table, _columns(spec, table))
        case "hub":
            ref = resolve(spec.target, spec.revision)
            table = read_dataset(spec, ref)
            return Source(spec, table, _columns(spec, table), ref.licence, ref)


def _builtin(spec: Spec) -> Source:
    try:
        rows = builtin_rows(spec.target, "calibration")
    except KeyError:
        raise spec.refused(f"the built-in sets are {', '.join(builtin_names())}") from None
    table = Table({"prompt": [row.prompt for row in rows], "response": [row.response for row in rows]})
    return Source(spec, table, _PAIR, LICENCE, numbers=[row.number for row in rows])


def _recipe(spec: Spec, resolve: Resolve) -> Source:
    recipe = RECIPES.get(spec.target)
    if recipe is None:
        raise spec.refused(*(local_part(spec.target) or (f"the recipes are {', '.join(RECIPES)}",)))
    ref = resolve(recipe.dataset_id, spec.revision)
    table = read_dataset(Spec(spec.name, spec.text, "hub", recipe.dataset_id, split=recipe.split), ref)
    _require(spec, table, recipe.columns)
    try:
        rows = recipe.rows(table)
    except pa.ArrowException as error:
        raise spec.refused(f"a column is not of the kind that the recipe knows ({short(error)})") from error
    return Source(spec, rows, _PAIR, recipe.licence.format(card=ref.licence), ref, recipe.note, rows[NUMBER])


def _columns(spec: Spec, table: Table) -> Columns:
    """Return the columns that a SPEC names, or those of the form of data that a table has."""
    known = None if spec.columns else known_columns(table.column_names)
    columns = known or Columns(**{role: spec.columns.get(role, getattr(_PAIR, role)) for role in ROLES})
    _require(spec, table, columns.names)
    talk = columns.conversation
    cell = next((cell for cell in table[talk] if cell is not None), None) if talk else None
    if isinstance(cell, str):
        what = "JSON text" if cell.lstrip()[:1] in ("[", "{") else "text"
        hint = "A table of CSV holds no lists: save it as JSON lines, with one object a row."
        raise spec.refused(f"the cells of its column {talk!r} are {what}, not lists of messages", hint)
    return columns


def _require(spec: Spec, table: Table, columns: Iterable[str]) -> None:
    for column in columns:
        if column not in table.columns:
            has = ", ".join(table.column_names)
            raise MissingColumns(name=spec.name, spec=spec.text, missing=repr(column), columns=has)
