"""SPECs: texts that name calibration sources, such as ``rows.csv#prompt=question+input,response="Answer, long"``."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from spin_hub.data.rows import ROLES, Role
from spin_hub.errors import SourceError

BUILTIN: Final = "builtin:"
DEFAULT_SPLIT: Final = "train"
FILE_KINDS: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".arrow")
COMPRESSIONS: Final = (".gz", ".bz2", ".zst")
"""Suffixes of compressed text, after that of the file's kind."""

_REVISION: Final = r"(?:@(?P<revision>refs/(?:pr|convert)/[\w.-]+|[^@:/\s]+))?"
_HUB: Final = re.compile(
    r"(?P<target>\w[\w.-]*/\w[\w.-]*)" + _REVISION + r"(?::(?P<config>[^@:/\s]+))?(?:/(?P<split>\w+(?:\.\w+)*))?"
)
_RECIPE: Final = re.compile(r"(?P<target>[\w-]+:[\w-]+)" + _REVISION)
# The last # outside of quotes, and what follows it.
_COLUMNS: Final = re.compile(r'#((?:[^"#]|"(?:[^"]|"")*")*)\Z')
_NAME: Final = r'(?:"(?:[^"]|"")+"|[^",+=#]+)'
_ROLE: Final = re.compile(rf"(?:\A|,)(\w+)=({_NAME}(?:\+{_NAME})*)")
_SLICE: Final = re.compile(r"(?P<place>.*)\[(?P<slice>:(?P<count>\d+)|[\d%-]*:[\d%-]*)\]")
_PAGE: Final = re.compile(
    r"(?:https?://(?:huggingface\.co|hf\.co)/|hf://)datasets/(?P<target>[\w.-]+/[\w.-]+)(?P<rest>.*)"
)


@dataclass(frozen=True)
class Spec:
    """A calibration source as the user names it.

    Attributes:
        name: of the calibration set that it is for, for messages.
        text: as written.
        target: a built-in set's name, ``RECIPE:VARIANT``, the path of a file or folder, a pattern of paths, or the id
            of a data set on the Hub.
        revision, config: of a data set on the Hub, or None for the default.
        columns: role -> the columns that are joined for it.
    """

    name: str
    text: str
    kind: Literal["builtin", "recipe", "file", "hub"]
    target: str
    revision: str | None = None
    config: str | None = None
    split: str = DEFAULT_SPLIT
    columns: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, name: str, text: str) -> "Spec":
        """Take a SPEC apart; an existing file or folder wins over every other meaning.

        Raises:
            SourceError: it has none of the forms.
        """
        if _is(Path.exists, text):
            return cls(name, text, "file", text)
        place, columns = _split_columns(name, text)
        if _is(Path.exists, place) or ("://" not in place and _matches(place)):
            return cls(name, text, "file", place, columns=columns)
        if not columns and place.startswith(BUILTIN):
            return cls(name, text, "builtin", place.removeprefix(BUILTIN))
        if not columns and (match := _RECIPE.fullmatch(place)):
            return cls(name, text, "recipe", match["target"], match["revision"])
        match = _HUB.fullmatch(place)
        # org/data.csv is a file that is missing, and org/here/train may be a folder beside one that is there.
        if match is None or kind_of(Path(place)) in FILE_KINDS or _is(Path.is_dir, match["target"]):
            why, hint = _not_found(place)
            raise SourceError(name=name, spec=text, why=why, hint=hint)
        split = match["split"] or DEFAULT_SPLIT
        return cls(name, text, "hub", match["target"], match["revision"], match["config"], split, columns)

    def refused(self, why: str, hint: str | None = None) -> SourceError:
        """Return the error that says why this source cannot be used."""
        return SourceError(name=self.name, spec=self.text, why=why, hint=hint)

    def published(self, commit: str | None = None) -> str:
        """Return a SPEC fit for publication: never a path, and with a commit one that names the same rows again."""
        place = Path(self.target).name if self.kind == "file" else self.target
        if self.kind == "builtin":
            place = BUILTIN + place
        pinned = f"@{commit}" if commit else ""
        config = f":{self.config}" if self.config else ""
        split = f"/{self.split}" if self.split != DEFAULT_SPLIT else ""
        columns = ",".join(f"{role}={'+'.join(map(_quoted, names))}" for role, names in self.columns.items())
        return place + pinned + config + split + (f"#{columns}" if columns else "")


def _is(kind: Callable[[Path], bool], text: str) -> bool:
    """Return True if a text is the path of something; it may be too long for one, or name a user without a home."""
    try:
        return bool(text) and kind(Path(text).expanduser())
    except (OSError, RuntimeError, ValueError):
        return False


def _matches(pattern: str) -> bool:
    # Two asterisks would walk through all that is below a folder.
    return any(mark in pattern for mark in "*?[") and "**" not in pattern and bool(paths_of(pattern))


def paths_of(pattern: str) -> list[Path]:
    """Return the files that a pattern such as ``data/train-*.parquet`` matches, by name."""
    path = Path(pattern)
    try:
        path = path.expanduser()
        return sorted(found for found in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if found.is_file())
    except (OSError, RuntimeError, ValueError, NotImplementedError):
        return []


def kind_of(path: Path) -> str:
    """Return the suffix of a file's kind, such as ``.csv`` of ``rows.CSV.gz``; "" without one."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return "".join(suffixes[-2:-1] if suffixes and suffixes[-1] in COMPRESSIONS else suffixes[-1:])


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"' if re.search(r'[",+=#]', column) else column


def _split_columns(name: str, text: str) -> tuple[str, dict[Role, tuple[str, ...]]]:
    """Split a SPEC into the place and the columns of each role."""
    mark = _COLUMNS.search(text)
    if mark is None or "=" not in mark[1]:
        return text, {}
    columns: dict[Role, tuple[str, ...]] = {}
    end = 0
    while end < len(mark[1]):
        part = _ROLE.match(mark[1], end) if end == 0 or mark[1][end] == "," else None
        role = next((role for role in ROLES if part and role == part[1]), None)
        if part is None or role is None or role in columns:
            wrong = mark[1][end:].removeprefix(",")
            why = f"{wrong!r} is not prompt=COLUMN, response=COLUMN or system=COLUMN"
            hint = 'Join columns by a plus, and quote names with signs: prompt="Question, text"+input,response=answer.'
            raise SourceError(name=name, spec=text, why=why, hint=hint)
        columns[role] = tuple(
            column[1:-1].replace('""', '"') if column.startswith('"') else column
            for column in re.findall(_NAME, part[2])
        )
        end = part.end()
    return text[: mark.start()], columns


def local_part(place: str) -> tuple[str, str] | None:
    """Return a reason and a hint for ``PATH:SPLIT``, a form that only data sets of the Hub have; None otherwise."""
    path, colon, _ = place.partition(":")
    if not colon or not _is(Path.exists, path):
        return None
    what, hint = "file", f"Write {path} alone."
    if _is(Path.is_dir, path):
        what, hint = "folder", f"Write {path} alone, a folder in it, or a pattern such as {path}/train-*.jsonl."
    return f"{path} is a {what} here, and takes no config or split after a colon", hint


def _not_found(place: str) -> tuple[str, str | None]:
    """Return the reason why a text names no source, and what to write in its place where that is known."""
    if page := _PAGE.fullmatch(place):
        hint = f"Write the data set as {page['target']}, with @revision, :config or /split if needed."
        return "it is an address", hint
    if "://" in place:
        return "it is an address", "Download the file, and give its path."
    if cut := _SLICE.fullmatch(place):
        samples = f"--samples {cut['count'] or 'N'}"
        hint = f"Write {cut['place']}, and {samples} for the number of rows, which are drawn by --seed."
        return f"the slice [{cut['slice']}] is not part of a source's name", hint
    if any(mark in place for mark in "*?["):
        return "no file matches this pattern", None
    if part := local_part(place):
        return part
    if kind_of(Path(place)) in FILE_KINDS:
        return "there is no such file", None
    if (match := _HUB.fullmatch(place)) and _is(Path.is_dir, match["target"]):
        return f"{match['target']} is a folder here, which has no such file or folder in it", None
    return "there is no such file, and it is neither a recipe nor org/name[@revision][:config][/split] on the Hub", None
