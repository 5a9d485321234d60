"""READMEs of others: their metadata and text, and what an edited model's card inherits of its base's.

What cannot be read is never an error here: every other entry is kept, and what is missing is said with the reason.
"""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import yaml

from spin_hub.errors import first_line
from spin_hub.model_cards.yaml12 import TWICE, Document, dump

_BEGIN: Final = re.compile(r"\A\s*---[ \t]*\n")
_END: Final = re.compile(r"^---[ \t]*(?:\n|\Z)", re.MULTILINE)
_ENTRY: Final = re.compile(r"""^(?:"(.+?)"|'(.+?)'|([^\s#\[\]{},&*!|>%@`"'-][^:\n]*))[ \t]*:(?=\s|\Z)""", re.MULTILINE)
_LARGEST: Final = 512 << 10
_ENTRIES: Final = 1_000
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True)
class Readme:
    """A README.

    Attributes:
        data: its metadata.
        text: all below them, as it is.
        lost: key -> why what the README says there is not in ``data``, or not all of it; ``""`` for lines without a
            key.
    """

    data: dict[str, Any]
    text: str
    lost: Mapping[str, str] = field(default_factory=dict)


def decoded(content: bytes) -> str:
    """Return the text of a README in UTF-8, or in UTF-16 with a mark at its beginning; lines end with ``\\n``.

    Raises:
        UnicodeDecodeError: it is something else.
    """
    encoding = next((name for mark, name in _BOMS if content.startswith(mark)), "utf-8")
    return _lines(content.decode(encoding))


def read_readme(text: str) -> Readme:
    """Split a README into its metadata and its text."""
    text = _lines(text.removeprefix("\ufeff"))
    begin = _BEGIN.match(text)
    end = _END.search(text, begin.end()) if begin else None
    if begin is None:
        return Readme({}, text)
    if end is None:
        # A rule above prose does not begin metadata.
        keys = {match[3] for match in _ENTRY.finditer(text[begin.end() :].partition("\n\n")[0])}
        return Readme({}, text, {"": "the metadata have no line --- at their end"} if keys & {*INHERITED} else {})
    block, below = text[begin.end() : end.start()], text[end.end() :]
    if len(block) > _LARGEST:
        return Readme({}, below, {"": f"the metadata are longer than {_LARGEST:,} characters"})
    document = Document()
    try:
        data = document.read(block)
    except (ValueError, yaml.YAMLError):
        return Readme(*_entries(block, document, below))
    if isinstance(data, str):
        # Two rules with prose between them.
        return Readme({}, text)
    if data is not None and not isinstance(data, dict):
        return Readme({}, below, {"": "the metadata are not a mapping of names to values"})
    return Readme(data or {}, below, document.doubled)


def write_readme(data: Mapping[str, Any], text: str) -> str:
    """Return a README of plain metadata and a text."""
    return f"---\n{dump(data)}\n---\n\n{text}".rstrip("\n") + "\n"


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _entries(block: str, document: Document, below: str) -> tuple[dict[str, Any], str, dict[str, str]]:
    """Read every entry of metadata by itself, because as a whole they are not YAML."""
    data: dict[str, Any] = {}
    lost: dict[str, str] = {}
    starts = [0, *(found.start() for found in _ENTRY.finditer(block)), len(block)]
    if len(starts) > _ENTRIES:
        return {}, below, {"": f"the metadata are not YAML, and have more than {_ENTRIES:,} entries"}
    line = 2
    for start, end in pairwise(starts):
        named = _ENTRY.match(block, start)
        key = next(filter(None, named.groups())).strip() if named else ""
        try:
            found = document.read(block[start:end])
            if isinstance(found, dict):
                lost |= document.doubled | dict.fromkeys(data.keys() & found.keys(), TWICE)
                data |= found
            elif found is not None:
                lost[key] = "the metadata are not a mapping of names to values"
        except (ValueError, yaml.YAMLError) as error:
            lost[key] = _why(error, line)
        line += block.count("\n", start, end)
    return data, below, lost


def _why(error: Exception, line: int) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        return f"line {line + (error.problem_mark.line if error.problem_mark else 0)}: {error.problem}"
    return first_line(error)


INHERITED: Final = ("license", "license_name", "license_link", "language", "pipeline_tag")
UNKNOWN: Final = "unknown"  # the Hub's own word for a licence that nobody knows


@dataclass(frozen=True)
class BaseCard:
    """The fields that an edited model's card inherits from its base's.

    Attributes:
        fields: of the metadata.
        notes: what the base's README says and could not be read, a sentence each.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_base_card(content: bytes) -> BaseCard:
    """Read the fields of a base's README that an edited model inherits.

    No licence is invented, and none is lost without a word: one that cannot be read is ``unknown``, with a note.
    """
    notes = []
    try:
        text = decoded(content)
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
        notes.append("The README of the base is not UTF-8 and was read as Windows-1252.")
    readme = read_readme(text)
    fields = {}
    for name in INHERITED:
        value, why = readme.data.get(name), readme.lost.get(name)
        given = [entry for entry in (value if isinstance(value, list) else [value]) if entry not in (None, "")]
        texts = [entry for entry in given if isinstance(entry, str)]
        if name == "license" and not given:
            why = why or readme.lost.get("")
        elif len(texts) < len(given):
            why = why or f"{next(entry for entry in given if not isinstance(entry, str))!r:.40} is not text"
        if texts and name not in readme.lost:
            fields[name] = texts if isinstance(value, list) else value
        if name == "license" and why:
            fields[name] = UNKNOWN
            notes.append(f"The licence of the base is unknown here, because its README cannot be read there ({why}).")
        elif why:
            kept = f"; kept: {', '.join(texts)}" if name in fields else ""
            notes.append(f"The {name} of the base's README cannot be read ({why}){kept}.")
    return BaseCard(fields, tuple(notes))
