"""The text that names a calibration source, taken apart."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from spin_hub.data.rows import ROLES
from spin_hub.errors import SourceError

BUILTIN: Final = "builtin:"
DEFAULT_SPLIT: Final = "train"
FILE_KINDS: Final[Mapping[str, str]] = {".csv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}
"""The suffixes of files that can be read, and what ``datasets`` calls their kind."""

_REVISION: Final = r"(?:@(?P<revision>refs/(?:pr|convert)/[\w.-]+|[^@:/\s]+))?"
_HUB: Final = re.compile(
    r"(?P<target>\w[\w.-]*/\w[\w.-]*)" + _REVISION + r"(?::(?P<config>[^@:/\s]+))?(?:/(?P<split>\w+(?:\.\w+)*))?"
)
_RECIPE: Final = re.compile(r"(?P<target>[\w-]+:[\w-]+)" + _REVISION)


@dataclass(frozen=True)
class Spec:
    """A calibration source as the user names it.

    Attributes:
        name: of the calibration set that it is for, for messages.
        text: what the person wrote.
        target: a built-in set's name, ``RECIPE:VARIANT``, a file's path, or the id of a data set on the Hub.
        revision, config: of a data set on the Hub; None takes the default.
        columns: ``prompt`` and ``response`` -> the columns that are named for them.
    """

    name: str
    text: str
    kind: Literal["builtin", "recipe", "file", "hub"]
    target: str
    revision: str | None = None
    config: str | None = None
    split: str = DEFAULT_SPLIT
    columns: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, name: str, text: str) -> "Spec":
        """Take a SPEC apart: an existing file wins over every other meaning.

        Raises:
            SourceError: it is none of the forms.
        """
        if _is(Path.is_file, text):
            return cls(name, text, "file", text)
        place, columns = _split_columns(name, text)
        if _is(Path.is_file, place):
            return cls(name, text, "file", place, columns=columns)
        if not columns and place.startswith(BUILTIN):
            return cls(name, text, "builtin", place.removeprefix(BUILTIN))
        if not columns and (match := _RECIPE.fullmatch(place)):
            return cls(name, text, "recipe", match["target"], match["revision"])
        match = _HUB.fullmatch(place)
        if why := _no_hub_id(place, match):
            raise SourceError(name=name, spec=text, why=why)
        assert match is not None
        split = match["split"] or DEFAULT_SPLIT
        return cls(name, text, "hub", match["target"], match["revision"], match["config"], split, columns)

    def refused(self, why: str) -> SourceError:
        """The error that says why this source cannot be used."""
        return SourceError(name=self.name, spec=self.text, why=why)

    def published(self, commit: str | None = None) -> str:
        """A SPEC fit for publication: never a path, and one that names the same rows again where it has a commit."""
        place = Path(self.target).name if self.kind == "file" else self.target
        if self.kind == "builtin":
            place = BUILTIN + place
        pinned = f"@{commit}" if commit else ""
        config = f":{self.config}" if self.config else ""
        split = f"/{self.split}" if self.split != DEFAULT_SPLIT else ""
        columns = ",".join(f"{role}={column}" for role, column in self.columns.items())
        return place + pinned + config + split + (f"#{columns}" if columns else "")


def _is(kind: Callable[[Path], bool], text: str) -> bool:
    """True if a text is the path of something; it may be too long for one, or name somebody who has no home."""
    try:
        return kind(Path(text).expanduser())
    except (OSError, RuntimeError, ValueError):
        return False


def _split_columns(name: str, text: str) -> tuple[str, dict[str, str]]:
    """Split a SPEC into the place and the columns that stand for prompt and response."""
    place, mark, suffix = text.rpartition("#")
    if not mark or "=" not in suffix:
        return text, {}
    columns = {}
    for part in suffix.split(","):
        role, equals, column = part.partition("=")
        if role not in ROLES or not equals or not column:
            raise SourceError(name=name, spec=text, why=f"{part!r} is not prompt=COLUMN or response=COLUMN")
        columns[role] = column
    return place, columns


def _no_hub_id(place: str, match: re.Match[str] | None) -> str | None:
    """The reason why a text that names no file is not a data set of the Hub either."""
    if place and _is(Path.is_dir, place):
        return "it is a folder; name a file in it"
    if place.endswith(tuple(FILE_KINDS)):
        return "there is no such file"
    if match is None:
        return "there is no such file, and it is neither a recipe nor org/name[@revision][:config][/split] on the Hub"
    if _is(Path.is_dir, match["target"]):
        return f"{match['target']} is a folder here; name a file in it"
    return None
