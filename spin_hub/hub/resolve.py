"""A model by name: a local folder, or a Hub id pinned to a commit and downloaded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from huggingface_hub import HfApi, constants, get_token, snapshot_download

from spin_hub.core.files import TWIN_PATTERNS, split_names
from spin_hub.errors import ModelNotFound, NoSafetensors
from spin_hub.hub.client import a_model, ask

_SMALL: Final = ("*.json", "*.jinja", "*.txt", "*.model", "*.py", "README.md")


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
    if folder.exists() or not may_be_id(model):
        raise ModelNotFound(model=model, why="there is no such folder, and it is no Hub id")
    repo_id, revision = split_id(model)
    asked = a_model(repo_id, model)
    return ask(asked, lambda: _online(repo_id, revision, weights), lambda: _cached(repo_id, revision))


def may_be_id(name: str) -> bool:
    """Whether a name may be a Hub id ``owner/name`` or ``owner/name@revision``."""
    # A drive, as in C:/models, is a path; neither a repo nor a branch has such characters in its name.
    return name.count("/") == 1 and not name.startswith(("/", "./", "../", "~")) and not set(":\\") & set(name)


def split_id(name: str) -> tuple[str, str | None]:
    """The repo and the revision of a Hub id; None where it names none."""
    repo_id, _, revision = name.partition("@")
    return repo_id, revision or None


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
    folder = snapshot(repo_id, revision, str(info.sha), None if weights else _SMALL)
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


def snapshot(repo_id: str, revision: str | None, commit: str, patterns: Sequence[str] | None) -> Path:
    """The files of a repo at a commit, asked for by its branch first, so that the branch is known offline too."""
    allowed = None if patterns is None else list(patterns)
    folder = _download(repo_id, revision, allow_patterns=allowed)
    # Where the branch has moved in between, the commit that was looked at counts.
    return folder if folder.name == commit else _download(repo_id, commit, allow_patterns=allowed)


def _cached(repo_id: str, revision: str | None) -> ModelSource:
    folder = cached_snapshot(repo_id, revision)
    return ModelSource(repo_id.rpartition("/")[2], folder, repo_id, folder.name)


def cached_snapshot(repo_id: str, revision: str | None) -> Path:
    """What the cache has of a repo; the folder's name is the commit.

    Raises:
        OSError: nothing.
    """
    return _download(repo_id, revision, local_files_only=True)


def _download(repo_id: str, revision: str | None, **options: Any) -> Path:
    """The snapshot of a branch, tag or commit; a branch's name is kept, so that it is known offline too."""
    patterns = [".*", *TWIN_PATTERNS]
    return Path(snapshot_download(repo_id, revision=revision, ignore_patterns=patterns, **options))


def _is_shard(name: str) -> bool:
    return "/" not in name and name.startswith("model") and name.endswith(".safetensors")
