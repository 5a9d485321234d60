"""Failures of the Hub's client: one ordered table from the cause to a reason and to what the user can do.

A reason is the end of a sentence and names no address, since records keep it; a hint is one or two sentences.
"""

import errno
import json
import os
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final
from urllib.parse import urlsplit

from huggingface_hub.errors import (
    DisabledRepoError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from spin_hub.errors import PushFailed, SpinHubError, TokenRefused, WriteDenied
from spin_hub.hub.answers import (
    BEFORE,
    PROTOCOL,
    PROXY,
    TIMEOUT,
    TRANSPORT,
    chain,
    first_line,
    place_of,
    redirect_of,
    retry_after,
    root,
    status_of,
    words_of,
)
from spin_hub.hub.settings import endpoint, has_token, problems, proxy_of, token_fault, token_source, tokens_page

_STORAGE: Final = re.compile(r"storage|quota|billing|payment|upgrade your (plan|account)", re.IGNORECASE)
_DISK: Final = frozenset(
    {
        errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOENT, errno.EISDIR, errno.ENOTDIR,
        errno.EEXIST, errno.EIO,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """The cause of a failure by the name that it has in the table, its reason, and a hint."""

    cause: str
    why: str
    hint: str


def failure_of(error: BaseException, what: str = "model") -> Failure:
    """Return the failure behind an error of the client; ``what`` is the kind of repo that was requested."""
    error = root(error)
    for cause, applies, why, hint in _TABLE:
        if applies(error):
            return Failure(cause, _filled(why, error, what), _filled(hint, error, what))
    raise AssertionError("the last row of the table applies to every error")


def reason(error: BaseException, what: str = "model") -> str:
    """Return the reason of a failure as part of a sentence."""
    return failure_of(error, what).why


def push_error(repo_id: str, error: Exception, state: str = "Nothing was committed.") -> SpinHubError:
    """Return the error of a push that did not arrive, from the client's.

    Args:
        repo_id: where it went.
        error: of the client.
        state: a sentence on what is known of the repo.
    """
    found = failure_of(error)
    if found.cause in TOKEN_CAUSES:
        return token_error(found)
    if found.cause == "forbidden":
        return WriteDenied(hint=found.hint, repo_id=repo_id, why=found.why, page=tokens_page())
    message = f"The push to {repo_id} failed: {found.why}. {state}"
    return PushFailed(message, hint=found.hint, repo_id=repo_id, why=found.why)


def token_error(found: Failure) -> TokenRefused:
    """Return the error for a token that the Hub does not accept, or that cannot be sent."""
    return TokenRefused(f"{found.why[0].upper()}{found.why[1:]}.", hint=found.hint, why=found.why, page=tokens_page())


def _words(error: BaseException) -> str:
    words = words_of(error)
    return f" ({words})" if words else ""


def _address(_: BaseException) -> str:
    via = proxy_of(endpoint())
    named = f"{endpoint()} (HF_ENDPOINT)" if os.environ.get("HF_ENDPOINT") else endpoint()
    return named + (f" through the proxy {via}" if via else "")


def _again(error: BaseException) -> str:
    seconds = retry_after(error)
    return "in a few minutes" if seconds is None else f"in {seconds} s"


_FACTS: Final[dict[str, Callable[[BaseException], Any]]] = {
    "status": status_of,
    "words": _words,
    "address": _address,
    "again": _again,
    "page": lambda _: tokens_page(),
    "source": lambda _: token_source(),
    "token": lambda _: token_fault(),
    "setting": lambda _: next(problems()).why,
    "cure": lambda _: next(problems()).hint,
    "file": lambda error: getattr(error, "filename", None),
    "strerror": lambda error: getattr(error, "strerror", None),
    "line": first_line,
    "redirect": redirect_of,
    "form": lambda error: " (a web page)" if str(getattr(error, "doc", "")).lstrip().startswith("<") else "",
    "switch": lambda _: "HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE") else "TRANSFORMERS_OFFLINE",
}


def _filled(template: str, error: BaseException, what: str) -> str:
    names = {name for _, name, _, _ in Formatter().parse(template) if name and name != "what"}
    return template.format(what=what, **{name: _FACTS[name](error) for name in names})


def _is(*kinds: type[BaseException]) -> Callable[[BaseException], bool]:
    return lambda error: isinstance(error, kinds)


def _behind(*kinds: type[BaseException]) -> Callable[[BaseException], bool]:
    """Return a test for errors that one of these kinds has caused."""
    return lambda error: any(isinstance(link, kinds) for link in chain(error))


def _answered(*statuses: int) -> Callable[[BaseException], bool]:
    return lambda error: isinstance(error, HfHubHTTPError) and status_of(error) in statuses


def _refused_by_hub(status: int) -> Callable[[BaseException], bool]:
    """Return a test for a refusal by the Hub in its own words; those of its storage say nothing about the token."""
    return lambda error: _answered(status)(error) and place_of(error) in (urlsplit(endpoint()).netloc, "")


def _bad_token(error: BaseException) -> bool:
    # An impossible token fails when its header is made, and a quoted one by a 401 of the Hub.
    early = isinstance(error, UnicodeError | PROTOCOL)
    return (early or _refused_by_hub(401)(error)) and token_fault() is not None


def _bad_setting(error: BaseException) -> bool:
    early = isinstance(error, (*BEFORE, ValueError))
    answered = isinstance(error, HfHubHTTPError | HFValidationError | json.JSONDecodeError)
    return early and not answered and next(problems(), None) is not None


def _storage_full(error: BaseException) -> bool:
    status = status_of(error)
    return status in {402, 507} or (status in {400, 403, 413, 422} and bool(_STORAGE.search(words_of(error))))


def _server(error: BaseException) -> bool:
    status = status_of(error)
    return isinstance(error, HfHubHTTPError) and status is not None and status >= 500


TOKEN_CAUSES: Final = frozenset({"token", "unauthorized"})

_ONLINE: Final = "Check the network and {address}, then run the same command again."
# cause, test, reason, hint: the first row whose test applies
_TABLE: Final[tuple[tuple[str, Callable[[BaseException], bool], str, str], ...]] = (
    ("offline", _is(OfflineModeIsEnabled), "offline mode is on",
     "Unset {switch} and run the same command once online."),
    ("token", _bad_token, "{token}",
     "Copy it again from {page}; it is never shown here."),
    ("setting", _bad_setting, "{setting}",
     "{cure}"),
    ("name", _is(HFValidationError), "it is not a name that the Hub allows",
     "Give it as owner/name."),
    ("revision", _is(RevisionNotFoundError), "the Hub has no such revision",
     "Look at the repo's branches and tags."),
    ("gated", _is(GatedRepoError), "the {what} is gated",
     "Ask for access on its page, and log in with `hf auth login`."),
    ("disabled", _is(DisabledRepoError), "the Hub has disabled the repo",
     "Its page, or its owner, can say why."),
    ("missing", _is(RepositoryNotFoundError),
     "the Hub has no such {what}, or it is private and the token gives no access",
     "Check the name, and the token (`hf auth whoami`)."),
    ("tokenless", lambda error: _refused_by_hub(401)(error) and not has_token(),
     "it answered 401, and there is no token here{words}",
     "Log in with `hf auth login`, or set HF_TOKEN."),
    ("unauthorized", _refused_by_hub(401), "the Hub does not accept the token of {source}{words}",
     "Make a valid one at {page} and set it with `hf auth login`, or in HF_TOKEN, which comes first."),
    ("storage", _storage_full, "it answered {status}{words}",
     "This is about the account's storage, not the token: free some, or push to another account with --repo-id."),
    ("forbidden", lambda error: _refused_by_hub(403)(error) and bool(words_of(error)), "the Hub refuses it{words}",
     "Use a token that may do this (see {page}), or another repo."),
    ("conflict", _answered(409), "it answered 409{words}",
     "Something else is changing the repo: run this again."),
    ("large", _answered(413), "it answered 413{words}",
     "A file is too large for {address}, or for a proxy on the way to it: that is where the limit is set."),
    ("invalid", _answered(400, 422), "it answered {status}{words}",
     "The content itself is refused: correct what the Hub names, then run the same command again."),
    ("busy", _answered(429), "it answered 429, too many requests{words}",
     "Run the same command again {again}."),
    ("server", _server, "it answered {status}{words}",
     "The fault is at {address}, not here: run the same command again {again}."),
    ("answer", lambda error: isinstance(error, HfHubHTTPError) and status_of(error) is not None,
     "it answered {status}{words}",
     _ONLINE),
    ("not a Hub", _is(FileMetadataError, ValueError, TypeError, LookupError, AttributeError, RecursionError),
     "it answered{redirect} with something that is not a Hub's answer{form}",
     "Open {address} in a browser: a mirror, a proxy or the network's login page may answer in its place."),
    ("host", _behind(socket.gaierror), "its host is not known",
     _ONLINE),
    ("certificate", _behind(ssl.SSLCertVerificationError), "its certificate is not accepted",
     "If a proxy signs for {address}, name its certificate in SSL_CERT_FILE."),
    ("tls", _behind(ssl.SSLError), "no encrypted connection can be made ({line})",
     "Check that {address} speaks https, and the proxies."),
    ("proxy", _is(PROXY), "the proxy refuses the connection ({line})",
     _ONLINE),
    ("refused", _behind(ConnectionRefusedError), "the connection is refused",
     _ONLINE),
    ("slow", _behind(TIMEOUT, TimeoutError), "there was no answer in time",
     _ONLINE),
    ("disk", lambda error: isinstance(error, OSError) and error.errno in _DISK and bool(error.filename),
     "{file} cannot be used ({strerror})",
     "Look at that path: it needs room, and the right to write. HF_HOME names another place for the Hub's cache."),
    ("broken", _is(TRANSPORT, RuntimeError, ConnectionError), "the connection broke off ({line})",
     "Run the same command again; if that does not help, check the network and {address}."),
    ("other", lambda _: True, "{line}",
     _ONLINE),
)  # fmt: skip
