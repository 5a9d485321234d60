"""JSON values: untrusted text parsed within bounds, and the differences of two values."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

# The text of a real file is several times as long as the number of its values; shorter texts are small in any case.
_SMALL: Final = 4 << 20
_BYTES_PER_VALUE: Final = 8
_DEEPEST: Final = 64
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def parse(raw: bytes | str, unique: bool = True) -> Any:
    """Parse a JSON text.

    Args:
        raw: the text; bytes are UTF-8.
        unique: refuse an object that has a key twice; two programs may read it differently.

    Raises:
        ValueError: the text is not JSON, is nested too deeply, has half a surrogate pair or a doubled key, or
            consists of so many small values that they would take far more memory than their text.
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
    # Other code copies and writes values by recursion.
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
        raise ValueError("an object has a key twice")
    return entries


def differences(
    expected: Any, found: Any, path: tuple[str, ...] = (), within_lists: bool = False
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield the path to each place where two JSON values differ, with the expected value and the one found.

    Args:
        expected, found: the values; a key that is missing on one side counts as None there.
        path: to these values.
        within_lists: compare lists of one length entry by entry, each under its ``name`` or its number;
            otherwise a list is one value.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected.keys() | found.keys(), key=str):
            yield from differences(expected.get(key), found.get(key), (*path, str(key)), within_lists)
    elif within_lists and _is_list(expected) and _is_list(found) and len(expected) == len(found):
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            label = one["name"] if isinstance(one, dict) and "name" in one else number
            yield from differences(one, other, (*path, str(label)), within_lists)
    elif expected != found:
        yield path, expected, found


def differing(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return the keys, sorted, under which two flat mappings differ, such as names of files with their digests."""
    return sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
