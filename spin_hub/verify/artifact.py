"""What is verified: an edited model, a delta or an adapter, opened where it is, and the base that it names."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from spin_hub.artifacts.delta_file import NAME as DELTA
from spin_hub.artifacts.delta_file import read_delta
from spin_hub.artifacts.open import parse_record
from spin_hub.artifacts.verification import Store
from spin_hub.checkpoint.digests import sha256
from spin_hub.core.delta import Delta
from spin_hub.core.files import SPIN
from spin_hub.errors import ArtefactNotFound, BaseNotNamed, CorruptFile, HubSilent, ModelNotFound
from spin_hub.hub.resolve import cached_snapshot, may_be_id, split_id
from spin_hub.hub.store import open_repo
from spin_hub.record import NAME as RECORD
from spin_hub.record import Record
from spin_hub.verify.folder import Folder


@dataclass(frozen=True)
class Subject:
    """What is verified.

    Attributes:
        store: its files.
        folder: of the delta among them: ``spin/``, or nothing in a delta repo.
        delta: that it brings, and the sha256 of that file.
        record: None where it is missing or unreadable; then ``unreadable`` says why, unless it is missing.
        tool: the program and version that wrote the record.
    """

    store: Store
    folder: str
    delta: Delta
    delta_sha256: str
    record: Record | None
    unreadable: str | None
    tool: str | None

    @property
    def kind(self) -> str:
        """``model``, ``delta``, ``peft`` or ``lora``; without a record as the folder looks."""
        if not self.folder:
            return "delta"
        return self.record.kind if self.record and self.record.kind != "delta" else "model"


@contextmanager
def opened(name: str) -> Iterator[Subject]:
    """Opens what is verified; a delta of the Hub lies in a temporary folder within the block.

    Raises:
        ArtefactNotFound: there is no such thing, or it holds no edit.
        CorruptFile, UnsupportedFormat: its delta cannot be read.
        AccessDenied, HubSilent: the Hub does not give it.
    """
    store = _store(name)
    folder = next((part for part in (f"{SPIN}/", "") if f"{part}{DELTA}" in store.sizes), None)
    if folder is None:
        why = f"it holds neither {SPIN}/{DELTA} nor {DELTA}"
        raise ArtefactNotFound(what="edited model", name=name, why=why)
    path = store.local(f"{folder}{DELTA}")
    if path is not None:
        yield _subject(store, folder, path)
        return
    with TemporaryDirectory(prefix="spin-hub-", ignore_cleanup_errors=True) as place:
        path = Path(place) / DELTA
        with path.open("wb") as file:
            for piece in store.pieces(f"{folder}{DELTA}"):
                file.write(piece)
        try:
            subject = _subject(store, folder, path)
        except CorruptFile as error:
            # The temporary file means nothing to a person.
            raise CorruptFile(path=f"{store.label}/{folder}{DELTA}", why=error.facts["why"]) from error
        yield subject


def open_base(base: str | None, edited: str, delta: Delta) -> Store:
    """The base that a person names, or that the delta was made for.

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
        return Folder(base, path)
    if path.exists() or not may_be_id(base):
        raise ModelNotFound(model=base, why="there is no such folder, and it is no Hub id")
    try:
        return open_repo(base, cached=True)
    except HubSilent as error:
        return _cached(base, delta, error)


def _store(name: str) -> Store:
    path = Path(name).expanduser()
    if path.is_dir():
        return Folder(name, path)
    if path.exists() or not may_be_id(name):
        raise ArtefactNotFound(what="edited model", name=name, why="there is no such folder, and it is no Hub id")
    return open_repo(name, cached=False)


def _cached(base: str, delta: Delta, silent: HubSilent) -> Store:
    repo_id, revision = split_id(base)
    try:
        folder = cached_snapshot(repo_id, revision)
    except OSError:
        raise silent from None
    found = Folder(base, folder, repo_id, folder.name)
    if any(name not in found.sizes for name in delta.base.files):
        raise silent
    return found


def _subject(store: Store, folder: str, path: Path) -> Subject:
    record, unreadable, tool = None, None, None
    name = f"{folder}{RECORD}"
    if name in store.sizes:
        data = store.whole(name)
        try:
            record = parse_record(Path(name), data)
            tool = str(json.loads(data).get("tool"))
        except CorruptFile as error:
            unreadable = str(error.facts["why"])
    return Subject(store, folder, read_delta(path), sha256(path, lambda _: None), record, unreadable, tool)
