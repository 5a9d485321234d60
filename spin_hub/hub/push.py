"""A push: repo and branch begun where they are missing, one commit, and proof that it arrived."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import get_session

from spin_hub.errors import BranchNotFound, RepoMoved, VisibilityDiffers
from spin_hub.hub.changes import Changes
from spin_hub.hub.commit import commit, prove
from spin_hub.hub.failures import guarded
from spin_hub.hub.remote_repo import EMPTY, MAIN
from spin_hub.hub.target import Pushed, Target, page_of


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
    with guarded(target.repo_id):
        parent = _prepare(target)
    if changes.nothing:
        return Pushed(target.repo_id, parent, page_of(target.repo_id, target.branch), None, 0, changed=False)
    with _counting() as sent:
        made, request = commit(target, changes, parent, progress)
    prove(target.repo_id, made, changes)
    url = page_of(target.repo_id, MAIN if request else target.branch)
    return Pushed(target.repo_id, made, url, request, sent[0], changed=True)


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
