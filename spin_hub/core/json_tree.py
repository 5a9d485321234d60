"""Differences of two JSON values, by the path to each place."""

from collections.abc import Iterator, Mapping
from typing import Any


def differences(
    expected: Any, found: Any, path: tuple[str, ...] = (), within_lists: bool = False
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield the path to each place where two JSON values differ, the expected value and the one found.

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
