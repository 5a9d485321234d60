"""What a model repo holds already, before something is pushed to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id

from spin_hub.errors import AccessDenied, HubSilent, RepoNameRefused
from spin_hub.hub.reasons import reason

MAIN: Final = "main"
_CARD: Final = "README.md"
_EMPTY: Final = frozenset({".gitattributes"})
_LONGEST: Final = 96


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repo: its size, its git blob id, and of an LFS file the sha256 of its content.

    Attributes:
        copyable: whether the Hub can copy it into another repo by itself.
    """

    size: int
    blob_id: str
    sha256: str | None = None
    copyable: bool = False


@dataclass(frozen=True)
class RemoteRepo:
    """A model repo at one commit.

    Attributes:
        commit: that was looked at; of ``main`` where the branch that was asked for does not exist yet.
        branch_exists: whether it does.
        card: the text of its README, where there is one.
    """

    repo_id: str
    commit: str
    private: bool
    files: Mapping[str, RemoteFile]
    branch_exists: bool = True
    card: str | None = None

    @property
    def ours(self) -> bool:
        """Whether spin-hub made it, or it is still empty."""
        return bool({"spin.json", "spin/spin.json"} & self.files.keys()) or not self.files.keys() - _EMPTY

    @property
    def visibility(self) -> str:
        """``private`` or ``public``."""
        return "private" if self.private else "public"


def check_name(repo_id: str) -> None:
    """Refuses a name that the Hub does not allow.

    Raises:
        RepoNameRefused: saying why.
    """
    owner, slash, name = repo_id.partition("/")
    if not (owner and slash and name):
        raise RepoNameRefused(repo_id=repo_id, why="it must be OWNER/NAME")
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        why = str(error).splitlines()[0].partition(":")[0].rstrip(".") or "the Hub's client refuses it"
        raise RepoNameRefused(repo_id=repo_id, why=why[0].lower() + why[1:]) from error
    if len(name) > _LONGEST:
        raise RepoNameRefused(repo_id=repo_id, why=f"the name is longer than {_LONGEST} characters")


def look_at(repo_id: str, branch: str = MAIN) -> RemoteRepo | None:
    """What a model repo holds; None where it does not exist.

    Raises:
        AccessDenied: it is there, but closed to this token.
        HubSilent: no answer.
    """
    api = HfApi()
    try:
        try:
            info = api.model_info(repo_id, revision=branch)
        except RevisionNotFoundError:
            info = api.model_info(repo_id)
        commit = str(info.sha)
        card = _card(repo_id, commit)
        files = list_files(repo_id, commit)
        exists = branch == MAIN or any(ref.name == branch for ref in api.list_repo_refs(repo_id).branches)
    except GatedRepoError as error:
        page = f"{constants.ENDPOINT}/{repo_id}"
        raise AccessDenied(model=repo_id, why="the repo is gated", page=page) from error
    except RepositoryNotFoundError:
        return None
    except (OfflineModeIsEnabled, HTTPError, OSError) as error:
        raise HubSilent(what=f"what {repo_id} holds", why=reason(error, "model")) from error
    return RemoteRepo(repo_id, commit, bool(info.private), files, exists, card)


@dataclass(frozen=True)
class BaseRepo:
    """What a base's repo says to those who publish a derivative.

    Attributes:
        closed: ``gated`` or ``private`` where not everybody may read it.
        files: by name; empty where it is closed.
    """

    closed: str | None
    files: Mapping[str, RemoteFile]


def look_at_base(repo_id: str, commit: str | None) -> BaseRepo | None:
    """A base's repo at a commit; None where it is gone.

    Raises:
        HubSilent: no answer.
    """
    try:
        info = HfApi().model_info(repo_id)
        closed = "gated" if info.gated else "private" if info.private else None
        return BaseRepo(closed, {} if closed else list_files(repo_id, commit or str(info.sha)))
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return None
    except (OfflineModeIsEnabled, HTTPError, OSError) as error:
        raise HubSilent(what=f"what {repo_id} holds", why=reason(error, "model")) from error


def list_files(repo_id: str, commit: str) -> dict[str, RemoteFile]:
    """All files of a model repo at a commit, by name.

    Raises:
        HfHubHTTPError, OSError: from the client.
    """
    tree = HfApi().list_repo_tree(repo_id, revision=commit, recursive=True)
    return {
        entry.path: RemoteFile(
            entry.lfs.size if entry.lfs else entry.size,
            entry.blob_id,
            entry.lfs.sha256 if entry.lfs else None,
            bool(entry.lfs and entry.xet_hash),
        )
        for entry in tree
        if isinstance(entry, RepoFile)
    }


def _card(repo_id: str, commit: str) -> str | None:
    try:
        return Path(hf_hub_download(repo_id, _CARD, revision=commit)).read_text("utf-8", "replace")
    except RemoteEntryNotFoundError:
        return None
