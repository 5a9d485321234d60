"""The content of a model repo before a push."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id

from spin_hub.core.files import DELTA, README, SPIN, is_licence
from spin_hub.core.json import parse
from spin_hub.errors import CardRefused, RepoNameRefused, SpinHubError
from spin_hub.hub.client import gated, patiently
from spin_hub.model_cards.front_matter import decoded
from spin_hub.model_cards.heat_map import HEAT_MAP
from spin_hub.record import NAME as RECORD
from spin_hub.record import Record

MAIN: Final = "main"
# The files of a new repo.
EMPTY: Final = frozenset({".gitattributes"})

_RECORDS: Final = (f"{SPIN}/{RECORD}", RECORD)
_OF_A_DELTA: Final = frozenset({RECORD, DELTA, HEAT_MAP})
_WEIGHTS: Final = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
_LONGEST: Final = 96


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repo: its size, its git blob id, and of an LFS file the sha256 of its content.

    Attributes:
        copyable: the Hub can copy it into another repo by itself.
    """

    size: int
    blob_id: str
    sha256: str | None = None
    copyable: bool = False


@dataclass(frozen=True)
class RemoteRepo:
    """A model repo at one commit.

    Attributes:
        repo_id: as the repo is called today.
        commit: the head of the branch, or of ``main`` if the branch does not exist yet.
        branch_exists: the requested branch exists.
        tags: name -> commit, if requested.
        card: the text of its README, if there is one.
        record: of the edit that it holds, if it can be read.
    """

    repo_id: str
    commit: str
    private: bool
    files: Mapping[str, RemoteFile]
    branch_exists: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    card: str | None = None
    record: Record | None = None

    @property
    def ours(self) -> bool:
        """True if spin-hub made it, or it is still empty."""
        return bool(self.files.keys() & set(_RECORDS)) or not self.files.keys() - EMPTY

    @property
    def visibility(self) -> str:
        """``private`` or ``public``."""
        return "private" if self.private else "public"

    @property
    def weights(self) -> tuple[str, ...]:
        """The files that loaders take for the model's weights, by their usual names."""
        return tuple(name for name in self.files if _WEIGHTS.fullmatch(name))

    @property
    def brought(self) -> tuple[str, ...]:
        """The files of the edit that it holds; all others in a repo of ours were added by its owner."""
        known: set[str] = set(self.record.model.files) - {README} if self.record else set()
        if self.record and not self.record.facts.whole:
            known = {name for name in known if is_licence(name)}
        known |= {*_OF_A_DELTA, *self.weights}
        return tuple(name for name in self.files if name in known or name.startswith(f"{SPIN}/"))


def check_name(repo_id: str) -> None:
    """Refuse a name that the Hub does not allow.

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


def look_at(repo_id: str, branch: str = MAIN, tags: bool = False) -> RemoteRepo | None:
    """Return the content of a model repo, or None if it does not exist.

    Args:
        repo_id: the repo; one that was renamed is found under its old name too.
        branch: whose head to read.
        tags: list them too.

    Raises:
        AccessDenied: it exists, but is closed to this token.
        HubSilent: no answer.
    """
    return patiently(None, f"what {repo_id} holds", lambda: _found(repo_id, branch, tags))


def _found(repo_id: str, branch: str, tags: bool) -> RemoteRepo | None:
    api = HfApi()
    try:
        try:
            info = api.model_info(repo_id, revision=branch)
        except RevisionNotFoundError:
            info = api.model_info(repo_id)
        repo_id, commit = str(info.id), str(info.sha)
        files = list_files(repo_id, commit)
        refs = api.list_repo_refs(repo_id) if tags or branch != MAIN else None
        return RemoteRepo(
            repo_id=repo_id,
            commit=commit,
            private=bool(info.private),
            files=files,
            branch_exists=branch == MAIN or bool(refs and any(ref.name == branch for ref in refs.branches)),
            tags={ref.name: ref.target_commit for ref in refs.tags} if refs else {},
            card=_card(repo_id, commit) if README in files else None,
            record=_record(repo_id, commit, files),
        )
    except GatedRepoError as error:
        raise gated(repo_id) from error
    except RepositoryNotFoundError:
        return None


def _record(repo_id: str, commit: str, files: Mapping[str, RemoteFile]) -> Record | None:
    name = next((name for name in _RECORDS if name in files), None)
    if name is None:
        return None
    text = _text(repo_id, commit, name)
    try:
        return Record.from_json(parse(text))
    except (ValueError, KeyError, TypeError, SpinHubError):
        return None  # its owner may have changed it


def _text(repo_id: str, commit: str, name: str) -> str:
    return Path(hf_hub_download(repo_id, name, revision=commit)).read_text("utf-8", "replace")


def _card(repo_id: str, commit: str) -> str:
    content = Path(hf_hub_download(repo_id, README, revision=commit)).read_bytes()
    try:
        return decoded(content)
    except UnicodeDecodeError as error:
        raise CardRefused(
            f"The README.md in {repo_id} is not text in UTF-8, and a push would change its letters.",
            hint="Save it as UTF-8 there, or name another repo with --repo-id.",
            why="it is not text in UTF-8",
        ) from error


@dataclass(frozen=True)
class BaseRepo:
    """The facts of a base's repo that matter to a derivative.

    Attributes:
        closed: why it is not public, in a word or two, or None if it is.
        files: by name; empty if it is closed, or the commit is gone.
    """

    closed: str | None
    files: Mapping[str, RemoteFile]


def look_at_base(repo_id: str, commit: str | None) -> BaseRepo:
    """Read a base's repo at a commit.

    One that cannot be seen may be gone, or private: it counts as closed.

    Raises:
        HubSilent: no answer.
    """

    def base() -> BaseRepo:
        try:
            info = HfApi().model_info(repo_id)
            closed = "gated" if info.gated else "private" if info.private else None
            return BaseRepo(closed, {} if closed else list_files(repo_id, commit or str(info.sha)))
        except RevisionNotFoundError:
            return BaseRepo(None, {})
        except (RepositoryNotFoundError, HFValidationError):
            return BaseRepo("gone, or closed to this token", {})

    return patiently(None, f"what {repo_id} holds", base)


def list_files(repo_id: str, commit: str) -> dict[str, RemoteFile]:
    """List all files of a model repo at a commit, by name.

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
