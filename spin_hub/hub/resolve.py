"""A model or an artefact by name: a local path, or a Hub id pinned to a commit and downloaded."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from huggingface_hub import HfApi, constants, get_token, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from spin_hub.core.contents import TWIN_PATTERNS, split_names
from spin_hub.errors import (
    AccessDenied,
    ArtefactNotFound,
    DownloadDamaged,
    HubUnreachable,
    ModelNotFound,
    NoSafetensors,
)
from spin_hub.hub.reasons import reason

_SMALL: Final = ("*.json", "*.jinja", "*.txt", "*.model", "*.py", "README.md")
_DELTA: Final = ("spin.json", "spin_delta.safetensors", "spin/spin.json", "spin/spin_delta.safetensors")
_T = TypeVar("_T")


@dataclass(frozen=True)
class ModelSource:
    """Where a model's files are.

    Attributes:
        name: for people and default output names: the id's last part, or the folder's name.
        folder: the files; within the Hub's cache for a Hub id, where nothing may be written.
        repo_id, commit: of a Hub model.
        left_out: files of the Hub repo that were not downloaded, with their sha256 where the Hub knows it.
        expected: name -> sha256 of its downloaded files, where the Hub knows it.
        elsewhere: the bytes of all its files, where the weights are still on the Hub.
    """

    name: str
    folder: Path
    repo_id: str | None = None
    commit: str | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    expected: dict[str, str] = field(default_factory=dict)
    elsewhere: int | None = None


def resolve_model(model: str, weights: bool = True) -> ModelSource:
    """Finds a model: an existing folder wins over a Hub id ``org/name`` or ``org/name@revision``.

    Args:
        model: a folder or Hub id.
        weights: whether a Hub model's weights are downloaded too, or only its config and tokenizer.

    Raises:
        ModelNotFound: neither a folder nor a Hub id that exists.
        AccessDenied: the repo is gated and the token has no access.
        HubUnreachable: no answer, and nothing in the cache.
        NoSafetensors: the repo has no safetensors weights.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return ModelSource(folder.resolve().name, folder)
    if folder.exists() or model.startswith(("/", "./", "../", "~")) or model.count("/") != 1:
        raise ModelNotFound(model=model, why="there is no such folder, and it is no Hub id")
    return _from_hub(model, lambda repo_id, revision: _online(repo_id, revision, weights), _cached)


def resolve_delta(delta: str) -> Path:
    """Finds a delta: an existing path wins over a Hub id, of which only the delta and its record are downloaded.

    Raises:
        ArtefactNotFound: neither a path nor a Hub id that exists.
        DownloadDamaged: what was downloaded is not the file that the Hub has.
        AccessDenied, HubUnreachable: as :func:`resolve_model`.
    """
    return _resolve(delta, "delta", _DELTA)


def resolve_edited(edited: str) -> Path:
    """Finds an edited model: an existing folder wins over a Hub id, which is downloaded.

    Raises:
        ArtefactNotFound: neither a folder nor a Hub id that exists.
        AccessDenied, HubUnreachable: as :func:`resolve_model`.
    """
    return _resolve(edited, "edited model", None)


def _resolve(name: str, what: str, patterns: Sequence[str] | None) -> Path:
    path = Path(name).expanduser()
    if path.exists():
        return path
    if name.startswith(("/", "./", "../", "~")) or name.count("/") != 1 or name.endswith(".safetensors"):
        raise ArtefactNotFound(what=what, name=name, why="there is no such file or folder, and it is no Hub id")
    try:
        return _from_hub(
            name,
            lambda repo_id, revision: _pinned(repo_id, revision, patterns),
            lambda repo_id, revision, error: _cached(repo_id, revision, error).folder,
        )
    except ModelNotFound as error:
        raise ArtefactNotFound(what=what, name=name, why=error.facts["why"]) from error


def _from_hub(
    name: str,
    online: Callable[[str, str | None], _T],
    cached: Callable[[str, str | None, Exception], _T],
) -> _T:
    """What the Hub has under a name, or what the cache has where the Hub does not answer; failures are typed."""
    repo_id, _, revision = name.partition("@")
    try:
        return online(repo_id, revision or None)
    except GatedRepoError as error:
        page = f"{constants.ENDPOINT}/{repo_id}"
        raise AccessDenied(model=repo_id, why="the repo is gated", page=page) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise ModelNotFound(model=name, why=_why_not(repo_id, error)) from error
    except (OfflineModeIsEnabled, HTTPError, OSError) as error:
        return cached(repo_id, revision or None, error)


def _why_not(repo_id: str, error: Exception) -> str:
    if isinstance(error, RepositoryNotFoundError) and HfApi().repo_exists(repo_id, repo_type="dataset"):
        return "it is a data set, not a model"
    return reason(error, "model")


def hub_cache() -> Path:
    """The folder of the Hub's cache, in which nothing but the client may write."""
    return Path(constants.HF_HUB_CACHE)


def token_state() -> str:
    """Whether a token is there; never the token."""
    return "present" if get_token() else "absent"


def _online(repo_id: str, revision: str | None, weights: bool) -> ModelSource:
    info = HfApi().model_info(repo_id, revision=revision, files_metadata=True)
    siblings = info.siblings or []
    names = [entry.rfilename for entry in siblings]
    contents = split_names(names, [name for name in names if _is_shard(name)])
    if not any(_is_shard(name) for name in names):
        raise NoSafetensors(path=repo_id, others=", ".join(contents.left_out) or "no weights at all")
    folder = _at(repo_id, revision, str(info.sha), None if weights else _SMALL)
    hashes = {entry.rfilename: entry.lfs.sha256 if entry.lfs else "" for entry in siblings}
    left_out = {name: hashes[name] for name in contents.left_out}
    size = sum(entry.size or 0 for entry in siblings if entry.rfilename in contents.proven)
    return ModelSource(
        name=repo_id.rpartition("/")[2],
        folder=folder,
        repo_id=repo_id,
        commit=info.sha,
        left_out=left_out,
        expected={name: hashes[name] for name in contents.proven if hashes[name]},
        elsewhere=None if weights else size,
    )


def _pinned(repo_id: str, revision: str | None, patterns: Sequence[str] | None) -> Path:
    info = HfApi().model_info(repo_id, revision=revision, files_metadata=True)
    folder = _at(repo_id, revision, str(info.sha), patterns)
    for entry in info.siblings or []:
        path = folder / entry.rfilename
        # A whole edited model is proved when it is reverted; what is read by itself is proved here.
        if patterns is not None and entry.lfs and path.is_file() and _sha256(path) != entry.lfs.sha256:
            raise DownloadDamaged(path=entry.rfilename, repo_id=repo_id)
    return folder


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _at(repo_id: str, revision: str | None, commit: str, patterns: Sequence[str] | None) -> Path:
    """The snapshot of a commit, asked for by its branch first, so that the branch is known offline too."""
    allowed = None if patterns is None else list(patterns)
    folder = _download(repo_id, revision, allow_patterns=allowed)
    # Where the branch has moved in between, the commit that was looked at counts.
    return folder if folder.name == commit else _download(repo_id, commit, allow_patterns=allowed)


def _cached(repo_id: str, revision: str | None, cause: Exception) -> ModelSource:
    try:
        folder = _download(repo_id, revision, local_files_only=True)
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise HubUnreachable(model=repo_id, why=reason(cause, "model")) from error
    return ModelSource(repo_id.rpartition("/")[2], folder, repo_id, folder.name)


def _download(repo_id: str, revision: str | None, **options: Any) -> Path:
    """The snapshot of a branch, tag or commit; a branch's name is kept, so that it is known offline too."""
    patterns = [".*", *TWIN_PATTERNS]
    return Path(snapshot_download(repo_id, revision=revision, ignore_patterns=patterns, **options))


def _is_shard(name: str) -> bool:
    return "/" not in name and name.startswith("model") and name.endswith(".safetensors")
