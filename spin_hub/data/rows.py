"""Prompts and responses from a table with two text columns, or with one of conversations."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from spin_hub.errors import BadRow

NUMBER: Final = "spin_hub_row"
"""The column that carries a row's number through filters and shuffles."""
ROLES: Final = ("prompt", "response")
CONVERSATIONS: Final = ("messages", "conversations")
_USERS: Final = {"user", "human"}
_ASSISTANTS: Final = {"assistant", "gpt"}


@dataclass(frozen=True)
class Row:
    """One prompt and response, and the number of its row in the source, counted from 0."""

    prompt: str
    response: str
    number: int


def conversation_column(columns: Iterable[str]) -> str | None:
    """The column of conversations that stands in for prompt and response, where a table lacks one of these."""
    has = set(columns)
    if has.issuperset(ROLES):
        return None
    return next((column for column in CONVERSATIONS if column in has), None)


def make_row(name: str, entry: Mapping[str, Any]) -> Row:
    """An entry of a table as a row; ``name`` is the calibration set's, for messages.

    Raises:
        BadRow: its prompt or response is empty or not text, or its conversation has no such pair.
    """
    column = conversation_column(entry)
    pair = _pair(name, entry[NUMBER], entry[column]) if column else tuple(entry[role] for role in ROLES)
    for role, text in zip(ROLES, pair, strict=True):
        if not isinstance(text, str):
            raise BadRow(name=name, row=entry[NUMBER], why=f"its {role} is not text")
        if not text.strip():
            raise BadRow(name=name, row=entry[NUMBER], why=f"its {role} is empty")
    return Row(pair[0], pair[1], entry[NUMBER])


def _pair(name: str, number: int, conversation: Any) -> tuple[Any, Any]:
    """The first thing that the user says, and the assistant's message that follows it."""
    turns = [_turn(message) for message in _messages(conversation)]
    first = next((place for place, (speaker, _) in enumerate(turns) if speaker in _USERS), None)
    if first is None:
        raise BadRow(name=name, row=number, why="its conversation has no message of a user")
    if first + 1 == len(turns) or turns[first + 1][0] not in _ASSISTANTS:
        raise BadRow(name=name, row=number, why="no message of the assistant follows the user's first")
    return turns[first][1], turns[first + 1][1]


def _messages(conversation: Any) -> list[Any]:
    # Tables of the older kind hold a list of records as a record of lists.
    if isinstance(conversation, Mapping):
        columns = list(conversation.values())
        return [dict(zip(conversation, values, strict=False)) for values in zip(*columns, strict=False)]
    return conversation if isinstance(conversation, list) else []


def _turn(message: Any) -> tuple[Any, Any]:
    if not isinstance(message, Mapping):
        return None, None
    return message.get("role") or message.get("from"), message.get("content", message.get("value"))
