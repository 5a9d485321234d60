"""The package's own data: calibration rows and preference pairs, read from its JSONL files."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from spin_hub.data.rows import Row

LICENCE: Final = "CC0-1.0"
AXES: Final = ("fairness", "privacy")
_FOLDER: Final = files("spin_hub.data") / "builtin"


@dataclass(frozen=True)
class Pair:
    """A prompt and two answers of similar length and style."""

    prompt: str
    aware: str
    unaware: str


def builtin_names() -> tuple[str, ...]:
    """Return the names of the built-in calibration sets."""
    return tuple(sorted(entry.name.removesuffix(".jsonl") for entry in _FOLDER.iterdir() if ".jsonl" in entry.name))


def builtin_rows(name: str, split: str) -> tuple[Row, ...]:
    """Read one split of a built-in set, in the order of the file.

    Args:
        name: of the set.
        split: ``calibration``, or ``heldout`` for measuring the effect of an edit.

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


def builtin_pairs(axis: str) -> tuple[Pair, ...]:
    """Read the preference pairs of one of the ``AXES``, none of which is a calibration row."""
    return tuple(Pair(entry["prompt"], entry["aware"], entry["unaware"]) for entry in read_builtin(f"pairs/{axis}"))


def read_builtin(name: str) -> list[dict[str, str]]:
    """Read one of the package's JSONL files, such as ``fairness`` or ``questions/safety``.

    Raises:
        FileNotFoundError: there is no such file.
    """
    return [json.loads(line) for line in (_FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines()]
