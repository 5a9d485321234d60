"""Calls of the Hub's client with its failures typed, and with the cache in place of a Hub that does not answer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from spin_hub.errors import (
    AccessDenied,
    HubSilent,
    HubUnreachable,
    ModelNotFound,
    PushFailed,
    SpinHubError,
    WriteDenied,
)

_T = TypeVar("_T")


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


def ask(asked: Asked, online: Callable[[], _T], cached: Callable[[], _T]) -> _T:
    """Return the answer of the Hub or, if it does not answer, that of the cache.

    Args:
        asked: the repo.
        online: asks the Hub.
        cached: asks the cache.

    Raises:
        AccessDenied: the repo is gated and the token has no access.
        HubUnreachable: no answer, and nothing in the cache.
        SpinHubError: the error of ``missing``, if the Hub has no such repo or revision.
    """
    try:
        with typed(asked, f"for {asked.repo_id}"):
            return online()
    except HubSilent as error:
        silent = error
    try:
        return cached()
    except (HFValidationError, OSError) as error:
        raise HubUnreachable(model=asked.repo_id, why=silent.facts["why"]) from error


@contextmanager
def typed(asked: Asked, about: str) -> Iterator[None]:
    """Turn what the client raises within the block into typed errors.

    Args:
        asked: the repo.
        about: the question, as part of the sentence of :class:`HubSilent`.

    Raises:
        AccessDenied: the repo is gated and the token has no access.
        HubSilent: no answer.
        SpinHubError: the error of ``missing``, if the Hub has no such repo or revision.
    """
    repo_id, what = asked.repo_id, asked.what
    try:
        yield
    except GatedRepoError as error:
        raise gated(repo_id, what) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise asked.missing(_why(repo_id, what, error)) from error
    except (OfflineModeIsEnabled, HTTPError, OSError) as error:
        raise HubSilent(what=about, why=reason(error, what)) from error


def a_model(repo_id: str, called: str | None = None) -> Asked:
    """Describe a request about a model repo; ``called`` is the user's name for it."""
    return Asked(repo_id, "model", lambda why: ModelNotFound(model=called or repo_id, why=why))


def gated(repo_id: str, what: str = "model") -> AccessDenied:
    """Return the error for a repo that exists but is closed to this token."""
    kind, called = ("datasets/", what) if what == "data set" else ("", "repo")
    return AccessDenied(model=repo_id, why=f"the {called} is gated", page=f"{constants.ENDPOINT}/{kind}{repo_id}")


def _why(repo_id: str, what: str, error: Exception) -> str:
    gone = what == "model" and isinstance(error, RepositoryNotFoundError)
    # Only improves the message, so its own failure does not matter.
    with suppress(OfflineModeIsEnabled, HTTPError, OSError):
        if gone and HfApi().repo_exists(repo_id, repo_type="dataset"):
            return "it is a data set, not a model"
    return reason(error, what)


@contextmanager
def guarded(repo_id: str) -> Iterator[None]:
    """Turn the client's failures within the block into those of a push."""
    try:
        yield
    except (HTTPError, OSError) as error:
        raise failure(repo_id, error) from error


def failure(repo_id: str, error: Exception) -> SpinHubError:
    """Return the error of a push that did not arrive, from the client's."""
    if refused(error):
        return WriteDenied(repo_id=repo_id, why="the Hub refuses it", page=tokens_page())
    return PushFailed(repo_id=repo_id, why=why_not(error))


def refused(error: Exception) -> bool:
    """Return True if the Hub refuses this token."""
    return isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403)


def why_not(error: BaseException) -> str:
    """Return the reason of a failure, with the Hub's own words if it finds the request invalid."""
    if not isinstance(error, Exception):
        return type(error).__name__
    said = isinstance(error, HfHubHTTPError) and error.response.status_code == 400 and error.server_message
    return reason(error, "model") + (f" ({said.splitlines()[0].rstrip('.')})" if said else "")


def tokens_page() -> str:
    """Return the address of the page on which tokens are created."""
    return f"{constants.ENDPOINT}/settings/tokens"


def reason(error: Exception, what: str) -> str:
    """Return the reason of a failure as part of a sentence; ``what`` is the kind of repo, such as ``model``."""
    # For a missing file the client reports its cache; the Hub's answer is only the cause of that error.
    while isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if isinstance(error, RevisionNotFoundError):
        return "the Hub has no such revision"
    if isinstance(error, RepositoryNotFoundError):
        return f"the Hub has no such {what}, or it is private and the token gives no access"
    if isinstance(error, HFValidationError):
        return "it is no name that the Hub allows"
    if isinstance(error, OfflineModeIsEnabled):
        return "offline mode is on"
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        return f"it answered {error.response.status_code}"
    return first_line(error)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message without its full stop, or the error's name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
