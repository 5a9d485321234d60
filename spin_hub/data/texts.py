"""Running text: all texts of a source, joined by blank lines."""

from pathlib import Path
from typing import Final

from spin_hub.data.files import read_table
from spin_hub.data.hub_tables import read_dataset
from spin_hub.data.sources import Resolve
from spin_hub.data.spec import Spec
from spin_hub.errors import SourceError, TextError

WIKITEXT: Final = "Salesforce/wikitext:wikitext-2-raw-v1/test"
_COLUMN: Final = "text"


def read_text(spec: str, resolve: Resolve) -> str:
    """The texts of a source, joined by a blank line as the paper's code joins those of WikiText-2.

    Args:
        spec: a ``.txt`` file, or a table with the column ``text``: a CSV, JSONL or Parquet file, or a data set of the
            Hub, ``org/name[@revision][:config][/split]``.
        resolve: finds the commit of a data set.

    Raises:
        TextError: it is none of these, or holds no text.
        AccessDenied, HubUnreachable: the data set cannot be had.
    """
    text = _plain_file(spec) if spec.endswith(".txt") else _table(spec, resolve)
    if not text.strip():
        raise TextError(spec=spec, why="it holds no text")
    return text


def _plain_file(spec: str) -> str:
    try:
        return Path(spec).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TextError(spec=spec, why="there is no such file, or it is not UTF-8 text") from error


def _table(spec: str, resolve: Resolve) -> str:
    try:
        source = Spec.parse("text", spec)
        if source.kind not in ("file", "hub"):
            raise source.refused("it is neither a file nor a data set of the Hub")
        found = read_table(source) if source.kind == "file" else None
        table = read_dataset(source, resolve(source.target, source.revision)) if found is None else found
    except SourceError as error:
        raise TextError(spec=spec, why=error.facts["why"]) from error
    if _COLUMN not in table.column_names:
        raise TextError(spec=spec, why=f"it has no column {_COLUMN!r} (it has: {', '.join(table.column_names)})")
    texts = [text or "" for text in table[_COLUMN]]
    if not all(isinstance(text, str) for text in texts):
        raise TextError(spec=spec, why=f"its column {_COLUMN!r} holds something else than text")
    return "\n\n".join(texts)
