"""The package's own calibration sets, read from its data files."""

import json
from importlib.resources import files
from typing import Final

from spin_hub.data.rows import Row

LICENCE: Final = "CC0-1.0"


def builtin_rows(name: str, split: str) -> tuple[Row, ...]:
    """All rows of one split of a built-in set, in the order of the file.

    Args:
        name: of the set.
        split: ``calibration``, or ``heldout`` for measuring what an edit did.

    Raises:
        KeyError: there is no such set.
    """
    if name not in builtin_names():
        raise KeyError(name)
    return tuple(
        Row(entry["prompt"], entry["response"], number)
        for number, entry in enumerate(read_builtin(name))
        if entry["split"] == split
    )


def builtin_names() -> tuple[str, ...]:
    """The names of the built-in sets."""
    folder = files("spin_hub.data") / "builtin"
    return tuple(sorted(entry.name.removesuffix(".jsonl") for entry in folder.iterdir() if ".jsonl" in entry.name))


def read_builtin(name: str) -> list[dict[str, str]]:
    """The entries of one of the package's JSONL files, such as ``fairness`` or ``questions/safety``.

    Raises:
        FileNotFoundError: there is no such file.
    """
    text = (files("spin_hub.data") / "builtin" / f"{name}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]
