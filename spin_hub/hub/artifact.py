"""A delta or an edited model by name: a local path, or a Hub id pinned to a commit and downloaded."""

import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi

from spin_hub.core.files import DELTA, SPIN
from spin_hub.errors import ArtefactNotFound, DownloadDamaged
from spin_hub.hub.client import Asked, ask
from spin_hub.hub.resolve import cached_snapshot, may_be_id, snapshot, split_id
from spin_hub.record import NAME as RECORD

_DELTAS: Final = (DELTA, f"{SPIN}/{DELTA}")
_PARTS: Final = (RECORD, f"{SPIN}/{RECORD}", *_DELTAS)


@dataclass(frozen=True)
class Artefact:
    """Where a delta or an edited model is.

    Attributes:
        name: as a person gave it.
        path: the file or folder; within the Hub's cache for a Hub id, where nothing may be written.
        repo_id, commit: of a Hub repo.
    """

    name: str
    path: Path
    repo_id: str | None = None
    commit: str | None = None


def resolve_delta(name: str) -> Artefact:
    """Finds a delta: an existing path wins over a Hub id, of which only the delta and its record are downloaded.

    Raises:
        ArtefactNotFound: neither a path nor a Hub id that exists and holds a delta or an edited model.
        DownloadDamaged: what was downloaded is not the file that the Hub has.
        AccessDenied, HubUnreachable: as :func:`spin_hub.hub.resolve.resolve_model`.
    """
    return _resolve(name, "delta", _PARTS)


def resolve_edited(name: str) -> Artefact:
    """Finds an edited model: an existing folder wins over a Hub id, which is downloaded.

    Raises:
        ArtefactNotFound: neither a folder nor a Hub id that exists and holds an edited model.
        AccessDenied, HubUnreachable: as :func:`spin_hub.hub.resolve.resolve_model`.
    """
    return _resolve(name, "edited model", None)


def _resolve(name: str, what: str, patterns: Sequence[str] | None) -> Artefact:
    path = Path(name).expanduser()
    if path.exists():
        return Artefact(name, path)
    if not may_be_id(name) or name.endswith(".safetensors"):
        raise ArtefactNotFound(what=what, name=name, why="there is no such file or folder, and it is no Hub id")
    repo_id, revision = split_id(name)

    def cached() -> Path:
        folder = cached_snapshot(repo_id, revision)
        _check_holds(name, what, {path.relative_to(folder).as_posix() for path in folder.rglob("*")})
        return folder

    def online() -> Path:
        info = HfApi().model_info(repo_id, revision=revision, files_metadata=True)
        siblings = info.siblings or []
        # A repo without an edit may be large; nothing of it is downloaded.
        _check_holds(name, what, {entry.rfilename for entry in siblings})
        folder = snapshot(repo_id, revision, str(info.sha), patterns)
        for entry in siblings:
            path = folder / entry.rfilename
            # A whole edited model is proved when it is reverted; what is read by itself is proved here.
            if patterns is not None and entry.lfs and path.is_file() and _sha256(path) != entry.lfs.sha256:
                raise DownloadDamaged(path=entry.rfilename, repo_id=repo_id)
        return folder

    folder = ask(Asked(repo_id, "model", lambda why: ArtefactNotFound(what=what, name=name, why=why)), online, cached)
    return Artefact(name, folder, repo_id, folder.name)


def _check_holds(name: str, what: str, files: AbstractSet[str]) -> None:
    if what == "delta" and not files & set(_DELTAS):
        raise ArtefactNotFound(what=what, name=name, why="the repo holds neither a delta nor an edited model")
    if what == "edited model" and f"{SPIN}/{DELTA}" not in files:
        why = "the repo holds a delta alone" if DELTA in files else "the repo holds no edit"
        raise ArtefactNotFound(what=what, name=name, why=why)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
