"""Calls of the Hub's client: failures typed, busy answers waited for, the cache for a Hub that does not answer."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError

from spin_hub.errors import AccessDenied, HubSilent, HubUnreachable, ModelNotFound, SpinHubError, TokenRefused
from spin_hub.hub.answers import CLIENT_ERRORS, ours, retry_after
from spin_hub.hub.failures import TOKEN_CAUSES, Failure, failure_of, token_error
from spin_hub.hub.settings import endpoint
from spin_hub.progress import note

_T = TypeVar("_T")

# Seconds before a busy Hub is asked again, the longest wait that it may ask for, and of all tries together: the client
# has waited itself where a failure comes late.
_WAITS: Final = (1.0, 2.0, 4.0)
_LONGEST: Final = 60.0
_PATIENCE: Final = 20.0
_BUSY: Final = frozenset({"busy", "server"})
_MISSING: Final = frozenset({"missing", "revision", "name"})


@dataclass(frozen=True)
class Asked:
    """The repo of a request to the Hub.

    Attributes:
        repo_id: its Hub id.
        what: a word for its kind: ``model`` or ``data set``.
        missing: returns the error for a missing repo or revision, from the reason.
    """

    repo_id: str
    what: str
    missing: Callable[[str], SpinHubError]


class PartlyCached(OSError):
    """The cache has a part of a repo: ``5 files of it, and no weights``."""


def a_model(repo_id: str, called: str | None = None) -> Asked:
    """Describe a request about a model repo; ``called`` is the user's name for it."""
    return Asked(repo_id, "model", lambda why: ModelNotFound(model=called or repo_id, why=why))


def ask(asked: Asked, online: Callable[[], _T], cached: Callable[[], _T]) -> _T:
    """Return the answer of the Hub or, if it does not answer, that of the cache.

    Args:
        asked: the repo.
        online: asks the Hub.
        cached: asks the cache.

    Raises:
        AccessDenied: the repo is gated and the token has no access.
        TokenRefused: the Hub does not accept the token, and the cache has nothing.
        HubUnreachable: no answer, and nothing in the cache.
        SpinHubError: the error of ``missing``, if the Hub has no such repo or revision.
    """
    about = f"for {asked.repo_id}"
    failed: HubSilent | TokenRefused
    try:
        with typed(asked, about):
            return online()
    except (HubSilent, TokenRefused) as error:
        failed = error
    held = "does not hold it"
    try:
        return cached()
    except PartlyCached as error:
        held = f"holds {error}"
    except (HFValidationError, OSError):
        pass
    try:
        if isinstance(failed, TokenRefused):
            raise failed
        # The cache is no way out, so a busy Hub is waited for.
        return patiently(asked, about, online, failed)
    except HubSilent as error:
        why = error.facts["why"]
        failure = f"The Hub could not be reached for {asked.repo_id!r}"
        if error.facts["cause"] == "disk":
            failure = f"{asked.repo_id!r} could not be downloaded"
        message = f"{failure}, and the local cache {held}: {why}."
        raise HubUnreachable(message, hint=error.hint, model=asked.repo_id, why=why) from error


def patiently(asked: Asked | None, about: str, call: Callable[[], _T], failed: HubSilent | None = None) -> _T:
    """Return what a read of the Hub returns; if the Hub is busy, wait and try again, for a few times.

    Args:
        asked, about: as for :func:`typed`.
        call: the read.
        failed: the error of a first try.

    Raises:
        SpinHubError: as :func:`typed`.
    """
    began = time.monotonic()
    for seconds in _WAITS:
        try:
            if failed is None:
                with typed(asked, about):
                    return call()
        except HubSilent as error:
            failed = error
        if failed is not None:
            pause = max(seconds, failed.facts["again"] or 0)
            if failed.facts["cause"] not in _BUSY or pause > _LONGEST or time.monotonic() - began > _PATIENCE:
                raise failed
            note(f"The Hub is busy: {failed.facts['why']}. It is asked again in {pause:.0f} s.")
            time.sleep(pause)
            failed = None
    with typed(asked, about):
        return call()


@contextmanager
def typed(asked: Asked | None, about: str) -> Iterator[None]:
    """Turn what the client raises within the block into typed errors.

    Args:
        asked: the repo, or None for a question about no repo.
        about: the question, as part of the sentence of :class:`HubSilent`.

    Raises:
        TokenRefused: the Hub does not accept the token, or it cannot be one.
        AccessDenied: the repo is gated or closed to the token.
        HubSilent: no answer.
        SpinHubError: the error of ``missing``, if the Hub has no such repo or revision.
    """
    try:
        yield
    except CLIENT_ERRORS as error:
        if ours(error):
            raise
        found = failure_of(error, asked.what if asked else "answer")
        raise _error(asked, about, found, retry_after(error)) from error


def _error(asked: Asked | None, about: str, found: Failure, again: int | None) -> SpinHubError:
    if found.cause in TOKEN_CAUSES:
        return token_error(found)
    if asked and found.cause == "gated":
        return gated(asked.repo_id, asked.what)
    if asked and found.cause in ("forbidden", "disabled"):
        return AccessDenied(model=asked.repo_id, why=found.why, hint=found.hint)
    if asked and found.cause in _MISSING:
        return asked.missing(_why(asked, found))
    return HubSilent(what=about, why=found.why, hint=found.hint, cause=found.cause, again=again)


def gated(repo_id: str, what: str = "model") -> AccessDenied:
    """Return the error for a repo that exists but is closed to this token."""
    kind, called = ("datasets/", what) if what == "data set" else ("", "repo")
    return AccessDenied(model=repo_id, why=f"the {called} is gated", page=f"{endpoint()}/{kind}{repo_id}")


def _why(asked: Asked, found: Failure) -> str:
    # Only improves the message, so its own failure does not matter.
    with suppress(*CLIENT_ERRORS):
        if (
            asked.what == "model"
            and found.cause == "missing"
            and HfApi().repo_exists(asked.repo_id, repo_type="dataset")
        ):
            return "it is a data set, not a model"
    return found.why
