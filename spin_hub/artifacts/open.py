"""Outputs opened by path: the delta in a file, a folder or an edited model, and its record."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spin_hub.artifacts.container import checked
from spin_hub.artifacts.delta_file import NAME as DELTA
from spin_hub.artifacts.delta_file import read_delta
from spin_hub.checkpoint.digests import sha256
from spin_hub.checkpoint.lfs import refuse_pointer
from spin_hub.core.delta import BaseRef, Delta
from spin_hub.core.files import README, SPIN
from spin_hub.core.json import parse
from spin_hub.errors import CorruptFile, DeltaNotFound, NotPushable, PluginMissing, UnsupportedFormat, UsageError
from spin_hub.evidence import Evidence
from spin_hub.hub.cache import cached_copy
from spin_hub.hub.resolve import Artefact, resolve_delta
from spin_hub.model_cards.front_matter import decoded
from spin_hub.progress import Reporter, step
from spin_hub.record import NAME as RECORD
from spin_hub.record import ModelRecord, Record


def find_delta(path: Path) -> Path:
    """The delta file of a delta folder or an edited model, or the file itself.

    Raises:
        DeltaNotFound: there is none.
    """
    for file in (path, path / DELTA, path / SPIN / DELTA):
        if file.is_file():
            return file
    raise DeltaNotFound(path=path, what="delta")


def open_delta(path: Path) -> tuple[Delta, Record | None]:
    """Read a delta from a file, a delta folder or an edited model, and its record where there is one.

    A record beside the delta that speaks of another delta file is left aside.

    Raises:
        DeltaNotFound: there is none.
        CorruptFile: the delta or its record is damaged.
    """
    file = find_delta(path)
    with cached_copy(file):
        delta = read_delta(file)
        if not file.with_name(RECORD).is_file():
            return delta, None
        record = read_record(file.with_name(RECORD))
    return delta, record if record.result.delta_sha256 == sha256(file) else None


def fetch_delta(name: str, reporter: Reporter) -> tuple[Artefact, Delta, Record | None]:
    """Find a delta by path or Hub id, download it if need be, and read it and its record.

    Raises:
        ArtefactNotFound, DeltaNotFound: there is none.
        CorruptFile, DownloadDamaged: the delta or its record is damaged.
        AccessDenied, HubUnreachable: the Hub does not give it.
    """
    with step(reporter, "Fetching the delta"):
        source = resolve_delta(name)
        return source, *open_delta(source.path)


def record_at(path: Path) -> Record | None:
    """The record of an output at a path, or None if none can be read."""
    try:
        return open_delta(path)[1] if path.is_dir() else None
    except (DeltaNotFound, CorruptFile, UnsupportedFormat, PluginMissing):
        return None


def read_record(path: Path) -> Record:
    """Read a ``spin.json``.

    Raises:
        CorruptFile: not JSON, or of another form.
        UnsupportedFormat: of a format version that is not known.
    """
    refuse_pointer(path)
    return parse_record(path, path.read_bytes())


def parse_record(path: Path, data: bytes) -> Record:
    """Parse the content of a ``spin.json``.

    Raises:
        CorruptFile, UnsupportedFormat: as :func:`read_record`.
    """
    try:
        entry: Mapping[str, Any] = parse(data)
        record = checked(path, lambda: Record.from_json(entry))
        if record.evaluation is not None:
            checked(path, lambda: Evidence.from_json(record.evaluation or {}))
        return record
    except (ValueError, UsageError) as error:
        raise CorruptFile(path=path, why=f"it is not a record of spin-hub ({error})") from error


def write_record(path: Path, record: Record) -> None:
    """Write a ``spin.json``."""
    path.write_text(json.dumps(record.to_json(), indent=2, ensure_ascii=False) + "\n", "utf-8", newline="\n")


def read_card(folder: Path) -> str | None:
    """The text of a folder's README, where there is one.

    Raises:
        NotPushable: it is not text.
    """
    try:
        return decoded((folder / README).read_bytes()) if (folder / README).is_file() else None
    except UnicodeDecodeError as error:
        raise NotPushable(path=folder, why=f"its {README} is not UTF-8 text") from error


def base_ref(model: ModelRecord) -> BaseRef:
    """The base reference that a delta carries."""
    return BaseRef(model.repo_id, model.commit, model.files)
