"""Images, sounds and the like in a table, never decoded: that would open the files and addresses that it names."""

from dataclasses import replace
from typing import Any, Final

import datasets

_JSON: Final = getattr(datasets, "Json", ())
"""Decoded from its own text alone; the first versions of the library do not have it."""


def undecoded(table: datasets.Dataset) -> datasets.Dataset:
    """The same table, of which such columns give paths and bytes as they are.

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
