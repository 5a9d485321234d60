"""Untrusted JSON: duplicate keys are refused, and memory is bounded by the text's size."""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

_SMALL: Final = 4 << 20
_BYTES_PER_VALUE: Final = 8
_DEEPEST: Final = 64
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def parse(raw: bytes | str, unique: bool = True) -> Any:
    """The value of a JSON text.

    Args:
        raw: the text; bytes are UTF-8.
        unique: whether a key that stands twice in an object is an error; two programs may read it differently.

    Raises:
        ValueError: it is no JSON, nested too deeply, has characters that no text may have, a doubled key, or
            so many small values that they would take far more memory than their text.
    """
    text = raw if isinstance(raw, str) else raw.decode("utf-8")
    if len(text) > _SMALL and _values(text) * _BYTES_PER_VALUE > len(text):
        raise ValueError("it consists of values that are too small to be real")
    try:
        value = json.loads(text, object_pairs_hook=_once if unique else None)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    _check_depth(value)
    if _SURROGATE.search(text):
        # Half a character can be read, but neither written nor printed; encoding finds it.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def _check_depth(value: Any) -> None:
    """Refuse values nested too deeply for other, recursive code to copy or write."""
    level, depth = [value], 1
    while level := [inner for outer in level for inner in _inner(outer) if isinstance(inner, dict | list)]:
        depth += 1
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")


def _inner(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _values(text: str) -> int:
    """About how many values there are, an object counted as three: its memory is that of several others."""
    return text.count(",") + text.count("[") + 3 * text.count("{")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a name stands twice")
    return entries
