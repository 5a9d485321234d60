"""Why the Hub's client failed, in a few words that fit into a sentence."""

from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)


def reason(error: Exception, what: str) -> str:
    """The reason of a failure; ``what`` is a word for the kind of repo, such as ``model``."""
    # Where a file cannot be had, the client tells of its cache, and of the Hub's answer only as the cause.
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
    """What an error says first, without a full stop; its name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
