"""Why the Hub did not take what was sent."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.errors import HfHubHTTPError, HTTPError

from spin_hub.errors import PushFailed, SpinHubError, WriteDenied
from spin_hub.hub.account import tokens_page
from spin_hub.hub.reasons import reason


@contextmanager
def guarded(repo_id: str) -> Iterator[None]:
    """Turns the client's failures within the block into a push that failed."""
    try:
        yield
    except (HTTPError, OSError) as error:
        raise failure(repo_id, error) from error


def failure(repo_id: str, error: Exception) -> SpinHubError:
    """The error of a push that did not arrive, from the client's."""
    if refused(error):
        return WriteDenied(repo_id=repo_id, why="the Hub refuses it", page=tokens_page())
    return PushFailed(repo_id=repo_id, why=why_not(error))


def refused(error: Exception) -> bool:
    """Whether the Hub does not let this token do it."""
    return isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403)


def why_not(error: BaseException) -> str:
    """The reason of a failure; of a request that the Hub finds wrong, with its own words."""
    if not isinstance(error, Exception):
        return type(error).__name__
    said = isinstance(error, HfHubHTTPError) and error.response.status_code == 400 and error.server_message
    return reason(error, "model") + (f" ({said.splitlines()[0].rstrip('.')})" if said else "")
