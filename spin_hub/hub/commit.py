"""One atomic commit to a model repo: sent once, looked up if the answer is lost, and proved."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from huggingface_hub import CommitOperationCopy, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import FileDuplicationError, HfHubHTTPError

from spin_hub.errors import HubSilent, RepoMoved, SpinHubError
from spin_hub.hub.answers import CLIENT_ERRORS, first_line, ours, root, status_of
from spin_hub.hub.changes import Changes, equal
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
