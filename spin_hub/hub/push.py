"""One atomic commit to a model repo: what has to be sent, sending it, and making sure that it arrived."""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import FileDuplicationError, HfHubHTTPError, HTTPError
from huggingface_hub.utils import get_session

from spin_hub.errors.base import SpinHubError
from spin_hub.errors.hub import (
    BranchNotFound,
    HubSilent,
    PushFailed,
    PushUnproven,
    RepoMoved,
    TagTaken,
    VisibilityDiffers,
    WriteDenied,
)
from spin_hub.hub.account import tokens_page
from spin_hub.hub.changes import Changes, equal
from spin_hub.hub.reasons import reason
from spin_hub.hub.remote_repo import EMPTY, MAIN, RemoteFile, RemoteRepo, list_files

_COPYING: Final = ("/lfs-files/duplicate", "/paths-info/")
"""The routes by which the client has the Hub copy files, before any commit."""


@dataclass(frozen=True)
class Target:
    """Where a commit goes.

    Attributes:
        remote: what was found there; None where the repo has yet to be made.
        private: of a new repo; None leaves it to the owner's default.
        create_pr: whether the commit becomes a pull request.
    """

    repo_id: str
    remote: RemoteRepo | None
    private: bool | None = None
    branch: str = MAIN
    create_pr: bool = False
    message: str = "Push with spin-hub"


@dataclass(frozen=True)
class Pushed:
    """What came of a push: the commit, its page, the pull request's page, and the bytes that travelled.

    ``sent`` counts request bodies; uploads through the Xet protocol do not pass there and are counted by size.
    """

    repo_id: str
    commit: str
    url: str
    pull_request: str | None
    sent: int
    changed: bool


def push(target: Target, changes: Changes, progress: Callable[[str], None]) -> Pushed:
    """Makes one commit with all changes, and proves that the repo then holds them.

    The repo and the branch are begun where they are missing; without changes that is all. A commit whose answer is
    lost is looked for before it is called lost, and never sent twice; files that arrived by an interrupted push are
    not sent again.

    Raises:
        WriteDenied: the Hub refuses the token.
        RepoMoved: somebody else committed meanwhile.
        VisibilityDiffers: somebody else made the repo meanwhile, for all to see.
        BranchNotFound: the branch cannot be begun.
        PushFailed: it did not arrive; nothing was changed.
        PushUnproven: the commit holds something else.
        HubSilent: whether it arrived cannot be found out.
    """
    with _guarded(target.repo_id):
        parent = _prepare(target)
    if changes.nothing:
        return Pushed(target.repo_id, parent, page_of(target.repo_id, target.branch), None, 0, changed=False)
    with _counting() as sent:
        commit, request = _commit(target, changes, parent, progress)
    _prove(target.repo_id, commit, changes)
    url = page_of(target.repo_id, MAIN if request else target.branch)
    return Pushed(target.repo_id, commit, url, request, sent[0], changed=True)


def page_of(repo_id: str, branch: str = MAIN) -> str:
    """The page of a model repo, or of a branch of it."""
    return f"{constants.ENDPOINT}/{repo_id}" + ("" if branch == MAIN else f"/tree/{branch}")


def set_tag(repo_id: str, tag: str, commit: str) -> None:
    """Names a commit that is there; where it has the name already, nothing is done.

    Raises:
        TagTaken: another commit has the name.
        WriteDenied, HubSilent: the tag was not set, or nobody can tell.
    """
    api = HfApi()
    try:
        known = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo_id).tags}
        if tag not in known:
            api.create_tag(repo_id, tag=tag, revision=commit)
        elif known[tag] != commit:
            raise TagTaken(repo_id=repo_id, tag=tag)
    except (HTTPError, OSError) as error:
        if _refused(error):
            why = f"what was pushed is there, but the Hub refuses the tag {tag!r}"
            raise WriteDenied(repo_id=repo_id, why=why, page=tokens_page()) from error
        raise HubSilent(what=f"to tag commit {commit[:12]} of {repo_id} as {tag!r}", why=_why(error)) from error


def _prepare(target: Target) -> str:
    """Makes repo and branch where they are missing; gives the commit on which the new one shall stand."""
    api = HfApi()
    if target.remote is None:
        api.create_repo(target.repo_id, private=target.private, exist_ok=True)
        info = api.model_info(target.repo_id)
        if {entry.rfilename for entry in info.siblings or ()} - EMPTY:
            raise RepoMoved(repo_id=target.repo_id)
        if target.private and not info.private:
            page = page_of(target.repo_id)
            raise VisibilityDiffers(repo_id=target.repo_id, here="public", asked="private", page=page)
        parent = str(info.sha)
    else:
        parent = target.remote.commit
    if target.branch != MAIN and not (target.remote and target.remote.branch_exists):
        try:
            api.create_branch(target.repo_id, branch=target.branch, revision=parent, exist_ok=True)
        except HfHubHTTPError as error:
            if error.response.status_code not in (400, 404):
                raise
            raise BranchNotFound(repo_id=target.repo_id, branch=target.branch) from error
    return parent


def _commit(target: Target, changes: Changes, parent: str, progress: Callable[[str], None]) -> tuple[str, str | None]:
    try:
        return _send(target, changes, parent)
    except (FileDuplicationError, _NoCopy) as error:
        # Copies need one storage region and a Hub that knows the content's Xet hash; nothing was committed yet.
        progress(f"The Hub cannot copy the base's files ({_line(error)}); they are uploaded instead.")
        return _commit(target, replace(changes, copied={}), parent, progress)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 412:
            raise RepoMoved(repo_id=target.repo_id) from error
        found = _look_up(target, changes, parent) if status >= 500 else None
        if found is None:
            raise _failure(target.repo_id, error) from error
        return found
    except RuntimeError as error:
        # A file that could not be uploaded, which the client tells so; nothing was committed yet.
        raise PushFailed(repo_id=target.repo_id, why=_why(error.__cause__ or error)) from error
    except (HTTPError, OSError, ValueError) as error:
        found = _look_up(target, changes, parent)
        if found is None:
            raise PushFailed(repo_id=target.repo_id, why=_line(error)) from error
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
    additions = [
        CommitOperationAdd(name, content.source) for name, content in changes.sent.items() if name not in changes.copied
    ]
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
            raise _NoCopy(reason(error, "file")) from error
        raise
    except ValueError as error:
        if copies and "xet" in str(error).lower():  # a file whose content the Hub keeps in another way
            raise _NoCopy(_line(error)) from error
        raise
    return str(done.oid), done.pr_url


def _look_up(target: Target, changes: Changes, parent: str) -> tuple[str, str | None] | None:
    """The commit that was made although its answer never came; None where there is none and the repo is as it was.

    Raises:
        RepoMoved: there is none, but somebody else's.
        HubSilent: no answer to this either.
    """
    api = HfApi()
    with _asking(target.repo_id):
        if target.create_pr:
            return _proposed(api, target, changes)
        head = str(api.model_info(target.repo_id, revision=target.branch).sha)
        if head == parent:
            return None
        known = [str(commit.commit_id) for commit in api.list_repo_commits(target.repo_id, revision=head)]
        newer = itertools.takewhile(lambda commit: commit != parent, known)
        for commit in reversed(list(newer)):
            if not _missing(target.repo_id, commit, changes):
                return commit, None
    raise RepoMoved(repo_id=target.repo_id)


def _proposed(api: HfApi, target: Target, changes: Changes) -> tuple[str, str] | None:
    """The pull request that was opened, and its page."""
    open_ones = {"discussion_type": "pull_request", "discussion_status": "open"}
    for request in api.get_repo_discussions(target.repo_id, **open_ones):
        if request.title and target.message.startswith(request.title):
            head = str(api.model_info(target.repo_id, revision=f"refs/pr/{request.num}").sha)
            if not _missing(target.repo_id, head, changes):
                return head, str(request.url)
    return None


def _prove(repo_id: str, commit: str, changes: Changes) -> None:
    with _asking(repo_id):
        missing = _missing(repo_id, commit, changes)
    if missing:
        raise PushUnproven(repo_id=repo_id, commit=commit, files=", ".join(missing))


@contextmanager
def _asking(repo_id: str) -> Iterator[None]:
    """The Hub is asked what came of a commit; where it does not tell, nobody may say that the repo is as it was."""
    try:
        yield
    except (HTTPError, OSError) as error:
        raise HubSilent(what=f"whether the commit to {repo_id} has arrived", why=_why(error)) from error


def _missing(repo_id: str, commit: str, changes: Changes) -> list[str]:
    """Files that a commit should hold and does not, or should not hold and does."""
    there: Mapping[str, RemoteFile] = list_files(repo_id, commit)
    wrong = [name for name, content in changes.sent.items() if name not in there or not equal(there[name], content)]
    return [*wrong, *(name for name in changes.deleted if name in there)]


@contextmanager
def _guarded(repo_id: str) -> Iterator[None]:
    """Turns the client's failures within the block into a push that failed."""
    try:
        yield
    except (HTTPError, OSError) as error:
        raise _failure(repo_id, error) from error


def _failure(repo_id: str, error: Exception) -> SpinHubError:
    if _refused(error):
        return WriteDenied(repo_id=repo_id, why="the Hub refuses it", page=tokens_page())
    return PushFailed(repo_id=repo_id, why=_why(error))


def _refused(error: Exception) -> bool:
    return isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403)


@contextmanager
def _counting() -> Iterator[list[int]]:
    """Counts the bytes of all request bodies that the client sends within the block."""
    total, lock = [0], threading.Lock()

    def count(request: Any) -> None:
        with lock:
            total[0] += int(request.headers.get("Content-Length", 0))

    session = get_session()
    hooks = session.event_hooks
    session.event_hooks = {**hooks, "request": [*hooks.get("request", ()), count]}
    try:
        yield total
    finally:
        session.event_hooks = hooks


def _why(error: BaseException) -> str:
    """The reason of a failure; of a request that the Hub finds wrong, with its own words."""
    if not isinstance(error, Exception):
        return type(error).__name__
    said = isinstance(error, HfHubHTTPError) and error.response.status_code == 400 and error.server_message
    return reason(error, "model") + (f" ({said.splitlines()[0].rstrip('.')})" if said else "")


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
