"""A push: the card checked, repo and branch created if missing, one proved commit, and its tag."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from huggingface_hub import HfApi, ModelCard
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import get_session

from spin_hub.errors import CardRefused, HubSilent, RepoMoved, SpinHubError, TagTaken, VisibilityDiffers, WriteDenied
from spin_hub.hub.answers import CLIENT_ERRORS, ours
from spin_hub.hub.changes import Changes
from spin_hub.hub.client import patiently
from spin_hub.hub.commit import Pushed, Target, commit, page_of, prove
from spin_hub.hub.failures import TOKEN_CAUSES, failure_of, push_error
from spin_hub.hub.remote_repo import EMPTY, MAIN


def validate_card(text: str) -> None:
    """Have the Hub validate a card, which it would otherwise refuse at the end of a push.

    Raises:
        CardRefused: it would not; with the validator's words.
        HubSilent: no answer.
    """
    try:
        card = ModelCard(text, ignore_metadata_errors=True)
    except ValueError as error:
        raise CardRefused(why=_said(str(error))) from error

    def judged() -> None:
        try:
            card.validate("model")
        except ValueError as error:
            # The client makes a ValueError of the validator's answer, and raises others for answers of others.
            if isinstance(error.__context__, HfHubHTTPError):
                raise CardRefused(why=_said(str(error))) from error
            raise

    patiently(None, "whether the card is valid", judged)


def _said(answer: str) -> str:
    try:
        errors = json.loads(answer)["errors"]
        return "; ".join(str(entry["message"]).strip() for entry in errors).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return (answer.strip().splitlines() or ["no reason given"])[0].rstrip(".")


def push(target: Target, changes: Changes, progress: Callable[[str], None]) -> Pushed:
    """Make one commit with all changes, and prove that the repo then holds them.

    A missing repo or branch is created; without changes that is all. A commit whose answer is
    lost is looked for before it is called lost, and never sent twice; files that arrived by an interrupted push are
    not sent again.

    Raises:
        WriteDenied: the Hub refuses the token.
        RepoMoved: somebody else committed meanwhile.
        VisibilityDiffers: somebody else made the repo meanwhile, for all to see.
        SpinHubError: the branch cannot be begun.
        PushFailed: it did not arrive; nothing was changed.
        SpinHubError: the commit holds something else.
        HubSilent: whether it arrived cannot be found out.
    """
    try:
        parent = _prepare(target)
    except CLIENT_ERRORS as error:
        if ours(error):
            raise
        raise push_error(target.repo_id, error) from error
    if changes.nothing:
        return Pushed(target.repo_id, parent, page_of(target.repo_id, target.branch), None, 0, changed=False)
    with _counting() as sent:
        made, request = commit(target, changes, parent, progress)
    prove(target.repo_id, made, changes)
    url = page_of(target.repo_id, MAIN if request else target.branch)
    return Pushed(target.repo_id, made, url, request, sent[0], changed=True)


def _prepare(target: Target) -> str:
    """Create repo and branch if missing; return the parent of the new commit."""
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
            raise SpinHubError(
                f"{target.repo_id} has no branch {target.branch!r}, and none can be begun there.",
                hint="Leave out --branch to push to main.",
            ) from error
    return parent


@contextmanager
def _counting() -> Iterator[list[int]]:
    """Count the bytes of all request bodies that the client sends within the block."""
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


def set_tag(repo_id: str, tag: str, commit: str) -> None:
    """Tag a commit; do nothing if it has the tag already.

    Raises:
        TagTaken: another commit has the name.
        WriteDenied, HubSilent: the tag was not set, or that is not known.
    """
    api = HfApi()
    try:
        known = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo_id).tags}
        if tag not in known:
            api.create_tag(repo_id, tag=tag, revision=commit)
        elif known[tag] != commit:
            raise TagTaken(repo_id=repo_id, tag=tag)
    except CLIENT_ERRORS as error:
        if ours(error):
            raise
        found = failure_of(error)
        if found.cause in {*TOKEN_CAUSES, "forbidden"}:
            why = f"what was pushed is there, but the tag {tag!r} is not: {found.why}"
            raise WriteDenied(repo_id=repo_id, why=why, hint=found.hint) from error
        what = f"to tag commit {commit[:12]} of {repo_id} as {tag!r}"
        raise HubSilent(what=what, why=found.why, hint=found.hint) from error
