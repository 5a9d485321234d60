"""Untrusted text, made safe for a terminal."""

import json
from typing import Any


def plain(text: str) -> str:
    """Text without control characters, marks that turn its direction, or halves of characters."""
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)


def one_line(text: str) -> str:
    """Such text without line ends, for a cell of a table."""
    return plain(text).replace("\n", "?")


def plain_json(value: Any) -> str:
    """JSON on one line, with such characters escaped; they occur within texts alone."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]
