"""Rows: the prompt and the response in an entry of a table, by the columns that the table has.

FORMS is the ordered table of the forms of data that are known by their columns.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from spin_hub.data.conversations import (
    USERS,
    Exchange,
    first_exchange,
    is_messages,
    messages_of,
    speaker_of,
    text_of,
)

Role: TypeAlias = Literal["prompt", "response", "system"]
ROLES: Final[tuple[Role, ...]] = ("prompt", "response", "system")
# The value of a cell that Python cannot hold, such as a time beyond its calendar or bytes that are not UTF-8.
UNREADABLE: Final = ...
NUMBER: Final = "spin_hub_row"
"""The column of a recipe's table that has the number of each row in the data set."""


@dataclass(frozen=True)
class Row:
    """One prompt and response.

    Attributes:
        number: of its row in the source, counted from 0.
        system: the system message before the prompt, or "".
        more: True if its conversation has other turns, which are not read.
    """

    prompt: str
    response: str
    number: int
    system: str = ""
    more: bool = False


@dataclass(frozen=True)
class Table:
    """Named columns of equal length: lists, or Arrow's arrays."""

    columns: Mapping[str, Any]

    @classmethod
    def of_records(cls, records: Iterable[Mapping[str, Any]]) -> "Table":
        """Make a table of JSON objects, in which a key that an object lacks is None."""
        columns: dict[str, list[Any]] = {}
        for number, record in enumerate(records):
            for name in record:
                columns.setdefault(name, [None] * number)
            for name, column in columns.items():
                column.append(record.get(name))
        return cls(columns)

    @property
    def column_names(self) -> list[str]:
        """The columns' names, in their order."""
        return list(self.columns)

    def __len__(self) -> int:
        return next((len(column) for column in self.columns.values()), 0)

    def __getitem__(self, name: str) -> list[Any]:
        """Return the values of a column."""
        column = self.columns[name]
        return column if isinstance(column, list) else [_plain(cell) for cell in column]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self.entry(place, self.columns) for place in range(len(self)))

    def entry(self, place: int, names: Collection[str]) -> dict[str, Any]:
        """Return the cells of one row."""
        return {name: _plain(self.columns[name][place]) for name in names}

    def filled(self, name: str) -> int:
        """Count the rows in which a column holds text or a list that is not empty."""
        column = self.columns[name]
        if isinstance(column, list):
            return sum(
                bool(cell.strip()) if isinstance(cell, str) else isinstance(cell, list) for cell in column if cell
            )
        if self.is_text(name):
            lengths = pc.binary_length(pc.ascii_trim_whitespace(column))
        elif pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            lengths = pc.list_value_length(column)
        else:
            return 0
        return int(pc.sum(pc.greater(lengths, 0)).as_py() or 0)

    def is_text(self, name: str) -> bool:
        """Return True if a column holds nothing but text."""
        column = self.columns[name]
        if isinstance(column, list):
            return all(isinstance(cell, str) for cell in column if cell)
        return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def _plain(cell: Any) -> Any:
    """Return a cell as a Python value, or UNREADABLE."""
    if not isinstance(cell, pa.Scalar):
        return cell
    try:
        return cell.as_py()
    except (ValueError, OverflowError, LookupError, TypeError, pa.ArrowException):
        return UNREADABLE


@dataclass(frozen=True)
class Columns:
    """The columns that are read: one of conversations, or those of prompt, response and system message."""

    prompt: tuple[str, ...] = ()
    response: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    conversation: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, each once."""
        conversation = (self.conversation,) if self.conversation else ()
        return tuple(dict.fromkeys((*conversation, *self.prompt, *self.response, *self.system)))


@dataclass(frozen=True)
class Form:
    """A form of data that is known by its columns.

    Attributes:
        name: what it is called.
        columns: those that are read.
        needs: those without which a table does not have this form; None: all.
        example: a row of it, in JSON.
    """

    name: str
    columns: Columns
    example: str
    needs: tuple[str, ...] | None = None

    def found_in(self, has: Collection[str]) -> Columns | None:
        """Return the columns of a table with these names that are read, or None if it has another form."""
        if not set(self.columns.names if self.needs is None else self.needs) <= set(has):
            return None
        return replace(self.columns, prompt=tuple(name for name in self.columns.prompt if name in has))


_TALK: Final = '[{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]'
FORMS: Final = (
    Form("prompt and response", Columns(("prompt",), ("response",)), '{"prompt": "Why?", "response": "Because."}'),
    Form("OpenAI messages", Columns(conversation="messages"), f'{{"messages": {_TALK}}}'),
    Form(
        "ShareGPT",
        Columns(conversation="conversations"),
        '{"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}]}',
    ),
    Form("one conversation", Columns(conversation="conversation"), f'{{"conversation": {_TALK}}}'),
    Form(
        "TRL and OpenAI prompt and completion, as text or as messages",
        Columns(("prompt",), ("completion",)),
        '{"prompt": "Why?", "completion": "Because."}',
    ),
    Form(
        "Alpaca",
        Columns(("instruction", "input"), ("output",)),
        '{"instruction": "Add.", "input": "1 and 2", "output": "3"}',
        needs=("instruction", "output"),
    ),
    Form(
        "Dolly",
        Columns(("instruction", "context"), ("response",)),
        '{"instruction": "Who?", "context": "A cat sat.", "response": "A cat."}',
        needs=("instruction", "response"),
    ),
)


def known_columns(has: Collection[str]) -> Columns | None:
    """Return the columns of the first form in FORMS that a table with these columns has, or None."""
    return next((columns for form in FORMS if (columns := form.found_in(has)) is not None), None)


def make_row(columns: Columns, entry: Mapping[str, Any], number: int) -> Row:
    """Make a row of an entry's cells.

    Raises:
        Unusable: there is no prompt or no response in it, or one of them is not text.
    """
    if columns.conversation is not None:
        found = first_exchange(messages_of(entry[columns.conversation]))
    else:
        found = _pair([entry[name] for name in columns.prompt], [entry[name] for name in columns.response])
    system = [found.system] if found.system else []
    system += [text for name in columns.system if (text := entry[name]) and text_of(text, "system message")]
    return Row(found.prompt, found.response, number, "\n\n".join(system), found.more)


def _pair(prompt: list[Any], response: list[Any]) -> Exchange:
    if not any(len(cells) == 1 and is_messages(cells[0]) for cells in (prompt, response)):
        return Exchange(_joined(prompt, "prompt"), _joined(response, "response"))
    asked, answered = _as_messages(prompt, "prompt", "user"), _as_messages(response, "response", "assistant")
    # The chosen answer of a preference data set repeats the whole conversation.
    whole = any(speaker_of(message) in USERS for message in answered)
    return first_exchange(answered if whole else [*asked, *answered])


def _as_messages(cells: list[Any], what: str, speaker: str) -> list[Mapping[str, Any]]:
    if len(cells) == 1 and is_messages(cells[0]):
        return messages_of(cells[0])
    return [{"role": speaker, "content": _joined(cells, what)}]


def _joined(cells: list[Any], what: str) -> str:
    """Join the cells of several columns by blank lines, without those that are empty."""
    filled = [cell for cell in cells if cell is not None and not (isinstance(cell, str) and not cell.strip())]
    return "\n\n".join(text_of(cell, what) for cell in filled or cells[:1])
