"""An error of the Hub's client taken apart: the answer behind it, its status, and the Hub's own words."""

import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Final
from urllib.parse import urlsplit

from huggingface_hub import errors
from huggingface_hub.errors import FileMetadataError, HTTPError
from huggingface_hub.utils import get_session

# The HTTP client is another package in other versions of huggingface_hub; its InvalidURL has no common base with the
# other errors, and OIDCError is not in every version.
_HTTP: Final = import_module(HTTPError.__module__.partition(".")[0])
BEFORE: Final = (
    ImportError,
    getattr(_HTTP, "InvalidURL", HTTPError),
    getattr(_HTTP, "UnsupportedProtocol", HTTPError),
)
PROTOCOL: Final = getattr(_HTTP, "LocalProtocolError", UnicodeError)
TIMEOUT: Final = getattr(_HTTP, "TimeoutException", TimeoutError)
PROXY: Final = getattr(_HTTP, "ProxyError", ConnectionError)
TRANSPORT: Final = getattr(_HTTP, "TransportError", ConnectionError)
# What the client raises. ValueError and below come also from answers that are not a Hub's.
CLIENT_ERRORS: Final[tuple[type[Exception], ...]] = (
    HTTPError,
    OSError,
    RuntimeError,
    *BEFORE,
    getattr(errors, "OIDCError", HTTPError),
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
)

_LONGEST: Final = 300
_SECONDS: Final = 10


class NotAHub(ValueError):
    """An answer that parses, and is not one of a Hub."""


def ours(error: BaseException) -> bool:
    """Return True if an error is one of spin-hub's own code, and not of the client or of an answer."""
    trace = None if isinstance(error, NotAHub) else error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).startswith("spin_hub")


def status_of(error: BaseException) -> int | None:
    """Return the status of the answer that an error is about, or None if there was none."""
    response = getattr(root(error), "response", None)
    return getattr(response, "status_code", None)


def place_of(error: BaseException) -> str:
    """Return the host and port that answered, or an empty text."""
    return urlsplit(str(getattr(getattr(root(error), "response", None), "url", ""))).netloc


def retry_after(error: BaseException) -> int | None:
    """Return the seconds after which the Hub wants to be asked again, or None if it names none."""
    response = getattr(root(error), "response", None)
    text = str(response.headers.get("Retry-After", "")).strip() if response is not None else ""
    return int(text) if text.isdecimal() else None


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message without its full stop, or the error's name."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub("hf_[A-Za-z0-9]{4,}", "hf_...", line)[:_LONGEST].rstrip(".")


def words_of(error: BaseException) -> str:
    """Return the Hub's own words in an answer, in one line, or an empty text."""
    for link in chain(error):
        said = str(getattr(link, "server_message", None) or "")
        if "<Message>" in said:  # of a storage, which answers in XML
            said = said.partition("<Message>")[2].partition("</Message>")[0]
        if said.strip() and not said.lstrip().startswith("<"):
            line = "; ".join(part.strip() for part in said.splitlines() if part.strip())
            shown = "".join(letter for letter in line if letter.isprintable())
            # A signed link in it would let its readers in.
            return re.sub(r"(https?://[^\s?]+)\?\S+", r"\1", shown)[:_LONGEST].rstrip(".")
    return ""


def root(error: BaseException) -> BaseException:
    """Return the error that tells the Hub's answer, of which the client may have made another.

    For a missing file the client reports its cache, for a failed upload a RuntimeError: the answer is their cause.
    """
    wrapped = (errors.LocalEntryNotFoundError, RuntimeError)
    while isinstance(error, wrapped) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that led to it."""
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def redirect_of(error: BaseException) -> str:
    """Return the status of an answer that leads away from the Hub, which the client does not tell."""
    url = re.search(r"Response from (\S+) is missing", str(error))
    if not isinstance(error, FileMetadataError) or url is None:
        return ""
    with suppress(*CLIENT_ERRORS):  # only improves the message
        return f" {get_session().head(url[1], follow_redirects=False, timeout=_SECONDS).status_code}"
    return ""
