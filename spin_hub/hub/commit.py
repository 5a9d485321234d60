"""One atomic commit to a model repo: its changes, sent once, looked up if the answer is lost, and proved."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import FileDuplicationError, HfHubHTTPError

from spin_hub.checkpoint.store import REGULAR, git_id
from spin_hub.errors import HubSilent, RepoMoved, SpinHubError
from spin_hub.hub.answers import CLIENT_ERRORS, first_line, ours, root, status_of
from spin_hub.hub.failures import failure_of, push_error, reason
from spin_hub.hub.remote_repo import MAIN, RemoteFile, RemoteRepo, list_files


@dataclass(frozen=True)
class Target:
    """The destination of a commit.

    Attributes:
        remote: the repo as it was found, or None if it does not exist yet.
        private: of a new repo; None leaves it to the owner's default.
        create_pr: open a pull request with the commit.
    """

    repo_id: str
    remote: RemoteRepo | None
    private: bool | None = None
    branch: str = MAIN
    create_pr: bool = False
    message: str = "Push with spin-hub"


@dataclass(frozen=True)
class Pushed:
    """The result of a push: the commit, its page, the pull request's page, and the bytes sent.

    ``sent`` counts request bodies; uploads through the Xet protocol do not pass there and are counted by size.
    """

    repo_id: str
    commit: str
    url: str
    pull_request: str | None
    sent: int
    changed: bool


def page_of(repo_id: str, branch: str = MAIN) -> str:
    """Return the page of a model repo, or of a branch of it."""
    return f"{constants.ENDPOINT}/{repo_id}" + ("" if branch == MAIN else f"/tree/{branch}")


@dataclass(frozen=True)
class Content:
    """A file to push, as the client's operation, whose one digest serves the comparison, the upload and the proof.

    Attributes:
        addition: the operation; it may be sent more than once, and what was uploaded for it is not uploaded again.
        blob_id: the id that git gives to the content, of a small file.
    """

    addition: CommitOperationAdd
    blob_id: str | None = None

    @classmethod
    def of(cls, name: str, source: Path | bytes) -> "Content":
        """Read a file or take its bytes, and compute the digests.

        Raises:
            OSError: the file cannot be read.
        """
        addition = CommitOperationAdd(name, source)
        small = addition.upload_info.size <= REGULAR
        data = (source if isinstance(source, bytes) else source.read_bytes()) if small else None
        return cls(addition, None if data is None else git_id(data))

    @property
    def size(self) -> int:
        """The number of bytes."""
        return int(self.addition.upload_info.size)

    @property
    def sha256(self) -> str:
        """The digest, in hexadecimal."""
        return str(self.addition.upload_info.sha256.hex())


@dataclass(frozen=True)
class Origin:
    """A file of another model repo with the same content, which the Hub may copy by itself."""

    repo_id: str
    commit: str
    path: str


@dataclass(frozen=True)
class Changes:
    """The changes of a commit.

    Attributes:
        sent: files whose content the repo does not hold under their name.
        copied: those of them that the Hub can copy from elsewhere.
        deleted: names to delete.
        same: names whose content is there already.
    """

    sent: Mapping[str, Content]
    copied: Mapping[str, Origin]
    deleted: tuple[str, ...]
    same: tuple[str, ...]

    @property
    def upload(self) -> int:
        """The bytes to upload, at most: the Hub may have some of them already."""
        return sum(content.size for name, content in self.sent.items() if name not in self.copied)

    @property
    def nothing(self) -> bool:
        """True if the repo holds everything already."""
        return not self.sent and not self.deleted


def changes_for(
    remote: RemoteRepo | None,
    files: Mapping[str, Content],
    origins: Mapping[str, Origin],
    stale: Sequence[str] = (),
) -> Changes:
    """Return the changes after which a repo holds some files.

    Args:
        remote: the repo as it is, or None if it does not exist yet.
        files: name -> content.
        origins: by name, files with equal content that the Hub may copy.
        stale: names to delete if they are in the repo and not among the files.
    """
    # The client drops unchanged files as well, but within create_commit; the plan, the note before the push and the
    # check of a tag need them earlier.
    there = remote.files if remote else {}
    same = tuple(name for name, content in files.items() if name in there and equal(there[name], content))
    sent = {name: content for name, content in files.items() if name not in same}
    return Changes(
        sent=sent,
        copied={name: origins[name] for name in sent if name in origins},
        deleted=tuple(name for name in stale if name in there and name not in files),
        same=same,
    )


def equal(remote: RemoteFile, content: Content) -> bool:
    """Return True if a file of a repo has that content."""
    if remote.sha256 is not None:
        return remote.sha256 == content.sha256
    return remote.size == content.size and remote.blob_id == content.blob_id


# Routes by which the client has the Hub copy files, before any commit.
_COPYING: Final = ("/lfs-files/duplicate", "/paths-info/")


def commit(target: Target, changes: Changes, parent: str, progress: Callable[[str], None]) -> tuple[str, str | None]:
    """Send a commit, once; return its id, and the page of its pull request, if any.

    Args:
        target: where it goes.
        changes: what it changes.
        parent: its parent commit.
        progress: called with a sentence if the push goes another way than expected.

    Raises:
        RepoMoved: somebody else committed meanwhile.
        WriteDenied, PushFailed: it did not arrive.
        HubSilent: whether it arrived cannot be found out.
    """
    try:
        return _send(target, changes, parent)
    except (FileDuplicationError, _NoCopy) as error:
        # Copies need one storage region and a Hub that knows the content's Xet hash; nothing was committed yet.
        progress(f"The Hub cannot copy the base's files ({first_line(error)}); they are uploaded instead.")
        return commit(target, replace(changes, copied={}), parent, progress)
    except CLIENT_ERRORS as error:
        if ours(error):
            raise
        status, uploading = status_of(error), root(error) is not error
        if status == 412 and not uploading:
            raise RepoMoved(repo_id=target.repo_id) from error
        # A refusal comes in place of a commit, and a file that could not be uploaded before it.
        if (status is not None and status < 500) or uploading:
            raise push_error(target.repo_id, error) from error
        found = _look_up(target, changes, parent)
        if found is None:
            raise push_error(
                target.repo_id, error, "When the repo was looked at afterwards, it was as before."
            ) from error
        return found


class _NoCopy(Exception):
    """The Hub refuses to copy a file."""


def _send(target: Target, changes: Changes, parent: str) -> tuple[str, str | None]:
    copies = [
        CommitOperationCopy(
            origin.path, name, src_revision=origin.commit, src_repo_id=origin.repo_id, src_repo_type="model"
        )
        for name, origin in changes.copied.items()
    ]
    additions = [content.addition for name, content in changes.sent.items() if name not in changes.copied]
    deletions = [CommitOperationDelete(name) for name in changes.deleted]
    try:
        done = HfApi().create_commit(
            target.repo_id,
            [*additions, *copies, *deletions],
            commit_message=target.message,
            revision=target.branch,
            parent_commit=parent,
            create_pr=target.create_pr,
        )
    except HfHubHTTPError as error:
        if copies and any(route in str(error.response.request.url) for route in _COPYING):
            raise _NoCopy(reason(error)) from error
        raise
    except ValueError as error:
        if copies and "xet" in str(error).lower():  # a file whose content the Hub keeps in another way
            raise _NoCopy(first_line(error)) from error
        raise
    return str(done.oid), done.pr_url


def _look_up(target: Target, changes: Changes, parent: str) -> tuple[str, str | None] | None:
    """Find the commit whose answer was lost; return None if there is none and the repo is unchanged.

    Raises:
        RepoMoved: there is only another one, of somebody else.
        HubSilent: no answer to this either.
    """
    api = HfApi()
    with _asking(target.repo_id):
        if target.create_pr:
            return _proposed(api, target, changes)
        head = str(api.model_info(target.repo_id, revision=target.branch).sha)
        if head == parent:
            return None
        known = [str(entry.commit_id) for entry in api.list_repo_commits(target.repo_id, revision=head)]
        newer = itertools.takewhile(lambda made: made != parent, known)
        for made in reversed(list(newer)):
            if not _missing(target.repo_id, made, changes):
                return made, None
    raise RepoMoved(repo_id=target.repo_id)


def _proposed(api: HfApi, target: Target, changes: Changes) -> tuple[str, str] | None:
    """Find the pull request that was opened; return its commit and page."""
    open_ones = {"discussion_type": "pull_request", "discussion_status": "open"}
    for request in api.get_repo_discussions(target.repo_id, **open_ones):
        if request.title and target.message.startswith(request.title):
            head = str(api.model_info(target.repo_id, revision=f"refs/pr/{request.num}").sha)
            if not _missing(target.repo_id, head, changes):
                return head, str(request.url)
    return None


def prove(repo_id: str, commit: str, changes: Changes) -> None:
    """Compare a commit's files with what was sent.

    Raises:
        SpinHubError: it holds something else.
        HubSilent: no answer.
    """
    with _asking(repo_id):
        missing = _missing(repo_id, commit, changes)
    if missing:
        raise SpinHubError(
            f"{repo_id} at {commit} does not hold what was pushed: {', '.join(missing)}.",
            hint="Run the same command again; if that does not help, look at the repo's files.",
        )


@contextmanager
def _asking(repo_id: str) -> Iterator[None]:
    """Report an unanswered question about a commit as such: the repo may or may not have changed."""
    try:
        yield
    except CLIENT_ERRORS as error:
        if ours(error):
            raise
        found = failure_of(error)
        what = f"whether the commit to {repo_id} has arrived"
        raise HubSilent(what=what, why=found.why, hint=found.hint) from error


def _missing(repo_id: str, commit: str, changes: Changes) -> list[str]:
    """Return the names of files that a commit lacks, or still has."""
    there: Mapping[str, RemoteFile] = list_files(repo_id, commit)
    wrong = [name for name, content in changes.sent.items() if name not in there or not equal(there[name], content)]
    return [*wrong, *(name for name in changes.deleted if name in there)]
