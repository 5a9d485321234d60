"""The edited model, delta or adapter to verify, opened where it is, and the base that it names."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from spin_hub.artifacts.delta_file import NAME as DELTA
from spin_hub.artifacts.delta_file import read_delta
from spin_hub.artifacts.open import parse_record
from spin_hub.checkpoint.digests import sha256
from spin_hub.checkpoint.store import FileStore, FolderStore
from spin_hub.core.delta import Delta
from spin_hub.core.files import SPIN
from spin_hub.errors import ArtefactNotFound, BaseNotNamed, CorruptFile, DeltaNotFound, HubSilent, ModelNotFound
from spin_hub.hub.cache import cached_snapshot
from spin_hub.hub.resolve import may_be_id, split_id
from spin_hub.hub.store import open_repo
from spin_hub.kinds import DELTA as DELTA_KIND
from spin_hub.kinds import MODEL, Kind
from spin_hub.record import NAME as RECORD
from spin_hub.record import Record


@dataclass(frozen=True)
class Artifact:
    """An edited model, a delta or an adapter to verify.

    Attributes:
        store: its files.
        folder: of the delta among them: ``spin/``, or nothing in a delta repo.
        delta: that it brings, and the sha256 of that file.
        record: None if it is missing or unreadable; ``unreadable`` says why it is unreadable.
        tool: the program and version that wrote the record.
    """

    store: FileStore
    folder: str
    delta: Delta
    delta_sha256: str
    record: Record | None
    unreadable: str | None
    tool: str | None

    @property
    def facts(self) -> Kind:
        """The kind of the record; without one that fits the folder, a delta or an edited model as the folder looks."""
        if self.record and self.record.facts.folder == self.folder:
            return self.record.facts
        return MODEL if self.folder else DELTA_KIND

    @property
    def kind(self) -> str:
        """The name of the kind."""
        return self.facts.name


@contextmanager
def open_artifact(name: str) -> Iterator[Artifact]:
    """Open what is to be verified; a delta of the Hub is in a temporary folder within the block.

    Raises:
        ArtefactNotFound, DeltaNotFound: it does not exist, or holds no edit.
        CorruptFile, UnsupportedFormat: its delta cannot be read.
        AccessDenied, HubSilent: the Hub does not provide it.
    """
    store = _store(name)
    folder = next((part for part in (f"{SPIN}/", "") if f"{part}{DELTA}" in store.sizes), None)
    if folder is None and store.repo_id is None:
        raise DeltaNotFound(path=name, what="delta")
    if folder is None:
        why = f"it holds neither {SPIN}/{DELTA} nor {DELTA}"
        raise ArtefactNotFound(what="edited model", name=name, why=why)
    path = store.local(f"{folder}{DELTA}")
    if path is not None:
        yield _artifact(store, folder, path)
        return
    with TemporaryDirectory(prefix="spin-hub-", ignore_cleanup_errors=True) as place:
        path = Path(place) / DELTA
        with path.open("wb") as file:
            for piece in store.pieces(f"{folder}{DELTA}"):
                file.write(piece)
        try:
            artifact = _artifact(store, folder, path)
        except CorruptFile as error:
            # The user does not know the temporary file.
            raise CorruptFile(path=f"{store.label}/{folder}{DELTA}", why=error.facts["why"]) from error
        yield artifact


def open_base(base: str | None, edited: str, delta: Delta) -> FileStore:
    """Open the base that the user names, or that the delta was made for.

    A base on the Hub that does not answer is taken from the cache.

    Raises:
        BaseNotNamed: neither says which.
        ModelNotFound, AccessDenied, HubSilent: it is gone, closed or silent.
    """
    if base is None:
        base = delta.base.pinned
    if base is None:
        raise BaseNotNamed(edited=edited)
    path = Path(base).expanduser()
    if path.is_dir():
        return FolderStore(base, path)
    if path.exists() or not may_be_id(base):
        raise ModelNotFound(model=base, why="there is no such folder, and it is not a Hub id")
    try:
        return open_repo(base, cached=True)
    except HubSilent as error:
        return _cached(base, delta, error)


def _store(name: str) -> FileStore:
    path = Path(name).expanduser()
    if path.is_dir():
        return FolderStore(name, path)
    if path.exists() or not may_be_id(name):
        raise ArtefactNotFound(
            what="edited model", name=name, why="there is no such file or folder, and it is not a Hub id"
        )
    return open_repo(name, cached=False)


def _cached(base: str, delta: Delta, silent: HubSilent) -> FileStore:
    repo_id, revision = split_id(base)
    try:
        folder = cached_snapshot(repo_id, revision)
    except OSError:
        raise silent from None
    found = FolderStore(base, folder, repo_id, folder.name)
    if any(name not in found.sizes for name in delta.base.files):
        raise silent
    return found


def _artifact(store: FileStore, folder: str, path: Path) -> Artifact:
    record, unreadable, tool = None, None, None
    name = f"{folder}{RECORD}"
    if name in store.sizes:
        data = store.whole(name)
        try:
            record = parse_record(Path(name), data)
            tool = str(json.loads(data).get("tool"))
        except CorruptFile as error:
            unreadable = str(error.facts["why"])
    return Artifact(store, folder, read_delta(path), sha256(path), record, unreadable, tool)
