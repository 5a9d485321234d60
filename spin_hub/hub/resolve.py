"""Models, deltas, edited models and data sets by name: a path, or a Hub id pinned to a commit and downloaded."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi, hf_hub_download, metadata_load, snapshot_download
from huggingface_hub.errors import EntryNotFoundError

from spin_hub.checkpoint.digests import sha256
from spin_hub.checkpoint.layout import find_layout
from spin_hub.core.files import DELTA, README, SPIN, split_names
from spin_hub.errors import ArtefactNotFound, DatasetNotFound, DownloadDamaged, ModelNotFound
from spin_hub.hub.cache import cached_snapshot, check_whole, snapshot
from spin_hub.hub.client import Asked, PartlyCached, a_model, ask
from spin_hub.record import NAME as RECORD
from spin_hub.record import DatasetRef

_SMALL: Final = ("*.json", "*.jinja", "*.txt", "*.model", "*.py", "README.md")


@dataclass(frozen=True)
class ModelSource:
    """A model's files, in a folder or in the Hub's cache.

    Attributes:
        name: for messages and default output names: the id's last part, or the folder's name.
        folder: the files; for a Hub id it is within the Hub's cache, and nothing may be written there.
        repo_id, commit: of a Hub model.
        left_out: files of the Hub repo that were not downloaded, with their sha256 if the Hub knows it.
        expected: name -> sha256 of its downloaded files, if the Hub knows it.
        elsewhere: the bytes of all its files, if its weights are neither asked for nor in the cache.
    """

    name: str
    folder: Path
    repo_id: str | None = None
    commit: str | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    expected: dict[str, str] = field(default_factory=dict)
    elsewhere: int | None = None


def resolve_model(model: str, weights: bool = True) -> ModelSource:
    """Find a model: an existing folder, or a Hub id such as ``org/name`` or ``org/name@revision``.

    Args:
        model: a folder or Hub id.
        weights: download a Hub model's weights too, not only its config and tokenizer.

    Raises:
        ModelNotFound: neither a folder nor a Hub id that exists.
        AccessDenied: the repo is gated and the token has no access.
        HubUnreachable: no answer, and nothing in the cache.
        NoSafetensors, WeightsIncomplete: the repo has no safetensors weights, or not all of them.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return ModelSource(folder.resolve().name, folder)
    if folder.exists() or not may_be_id(model):
        raise ModelNotFound(model=model, why="there is no such folder, and it is not a Hub id")
    repo_id, revision = split_id(model)
    asked = a_model(repo_id, model)
    return ask(asked, lambda: _online(repo_id, revision, weights), lambda: _cached(repo_id, revision))


def may_be_id(name: str) -> bool:
    """Return True if a name may be a Hub id ``owner/name`` or ``owner/name@revision``."""
    # A drive, as in C:/models, is a path; neither a repo nor a branch has such characters in its name.
    return name.count("/") == 1 and not name.startswith(("/", "./", "../", "~")) and not set(":\\") & set(name)


def split_id(name: str) -> tuple[str, str | None]:
    """Split a Hub id into repo and revision, which is None if it names none."""
    repo_id, _, revision = name.partition("@")
    return repo_id, revision or None


def _online(repo_id: str, revision: str | None, weights: bool) -> ModelSource:
    info = HfApi().model_info(repo_id, revision=revision, files_metadata=True)
    siblings = info.siblings or []
    names = [entry.rfilename for entry in siblings]
    top = [name for name in names if "/" not in name]
    # A commit's small files are read from the cache, or downloaded before the rest.
    layout = find_layout(
        repo_id, top, lambda name: Path(hf_hub_download(repo_id, name, revision=info.sha)).read_bytes()
    )
    contents = split_names(names, layout.files)
    folder = snapshot(repo_id, revision, str(info.sha), names, None if weights else _SMALL)
    hashes = {entry.rfilename: entry.lfs.sha256 if entry.lfs else "" for entry in siblings}
    left_out = {name: hashes[name] for name in contents.left_out}
    size = sum(entry.size or 0 for entry in siblings if entry.rfilename in contents.proven)
    here = weights or all((folder / name).is_file() for name in contents.proven)
    return ModelSource(
        name=repo_id.rpartition("/")[2],
        folder=folder,
        repo_id=repo_id,
        commit=info.sha,
        left_out=left_out,
        expected={name: hashes[name] for name in contents.proven if hashes[name]},
        elsewhere=None if here else size,
    )


def _cached(repo_id: str, revision: str | None) -> ModelSource:
    folder = cached_snapshot(repo_id, revision)
    check_whole(folder)
    return ModelSource(repo_id.rpartition("/")[2], folder, repo_id, folder.name)


_DELTAS: Final = (DELTA, f"{SPIN}/{DELTA}")
_PARTS: Final = (RECORD, f"{SPIN}/{RECORD}", *_DELTAS)


@dataclass(frozen=True)
class Artefact:
    """A delta or an edited model, as a path or in the Hub's cache.

    Attributes:
        name: as the user gave it.
        path: the file or folder; for a Hub id it is within the Hub's cache, and nothing may be written there.
        repo_id, commit: of a Hub repo.
    """

    name: str
    path: Path
    repo_id: str | None = None
    commit: str | None = None


def resolve_delta(name: str) -> Artefact:
    """Find a delta: an existing path, or a Hub id, of which only the delta and its record are downloaded.

    Raises:
        ArtefactNotFound: neither a path nor a Hub id that exists and holds a delta or an edited model.
        DownloadDamaged: what was downloaded is not the file that the Hub has.
        AccessDenied, HubUnreachable: as :func:`spin_hub.hub.resolve.resolve_model`.
    """
    return _resolve(name, "delta", _PARTS)


def resolve_edited(name: str) -> Artefact:
    """Find an edited model: an existing folder, or a Hub id, which is downloaded.

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
        raise ArtefactNotFound(what=what, name=name, why="there is no such file or folder, and it is not a Hub id")
    repo_id, revision = split_id(name)

    def cached() -> Path:
        folder = cached_snapshot(repo_id, revision, patterns)
        names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        try:
            _check_holds(name, what, names)
        except ArtefactNotFound as error:  # the repo may hold what the cache does not
            raise PartlyCached(f"{len(names)} files of it, without {what}") from error
        if patterns is None:
            check_whole(folder)
        return folder

    def online() -> Path:
        info = HfApi().model_info(repo_id, revision=revision, files_metadata=True)
        siblings = info.siblings or []
        # A repo without an edit may be large; nothing of it is downloaded.
        names = {entry.rfilename for entry in siblings}
        _check_holds(name, what, names)
        folder = snapshot(repo_id, revision, str(info.sha), names, patterns)
        for entry in siblings:
            path = folder / entry.rfilename
            # A whole edited model is proved when it is reverted; what is read by itself is proved here.
            if patterns is not None and entry.lfs and path.is_file() and sha256(path) != entry.lfs.sha256:
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


def resolve_dataset(dataset_id: str, revision: str | None = None) -> DatasetRef:
    """Find the commit and the licence of a data set, on the Hub or, if it does not answer, in the cache.

    Raises:
        DatasetNotFound: the Hub has no such data set or revision.
        AccessDenied: it is gated and the token has no access.
        HubUnreachable: no answer, and nothing in the cache.
    """
    name = f"{dataset_id}@{revision}" if revision else dataset_id
    asked = Asked(dataset_id, "data set", lambda why: DatasetNotFound(dataset=name, why=why))
    return ask(asked, lambda: _dataset_online(dataset_id, revision), lambda: _dataset_cached(dataset_id, revision))


def _dataset_online(dataset_id: str, revision: str | None) -> DatasetRef:
    api = HfApi()
    info = api.dataset_info(dataset_id, revision=revision)
    if info.gated:  # the Hub shows a gated data set's page to everyone, but not its files
        api.auth_check(dataset_id, repo_type="dataset")
    # Requested by its branch, the card leaves the branch's commit in the cache.
    with suppress(EntryNotFoundError):
        hf_hub_download(dataset_id, README, repo_type="dataset", revision=revision)
    return DatasetRef(dataset_id, str(info.sha), _licence(info.card_data))


def _dataset_cached(dataset_id: str, revision: str | None) -> DatasetRef:
    options = {"repo_type": "dataset", "revision": revision, "local_files_only": True}
    folder = snapshot_download(dataset_id, **options)
    card = Path(folder, README)
    return DatasetRef(dataset_id, Path(folder).name, _licence(metadata_load(card) if card.is_file() else None))


def _licence(card: object) -> str:
    """Return the licence of a card's metadata; several in one line."""
    named = card.get("license") if hasattr(card, "get") else None
    return ", ".join(map(str, named)) if isinstance(named, list) else str(named or "unknown")
