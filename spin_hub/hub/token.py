"""The Hub's token: whether there is one, its account, and the repos to which it may write; never shown."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from threading import Thread
from typing import Any, Final

from huggingface_hub import HfApi, constants, errors, get_token
from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

from spin_hub.errors import HubSilent, NotLoggedIn, SpinHubError, TokenRefused, WriteDenied
from spin_hub.hub.client import reason, tokens_page

_WRITING: Final = frozenset({"admin", "write", "contributor"})
_WRITE: Final = "repo.write"
_PROPOSE: Final = "discussion.write"
_OTHERS: Final = frozenset({"dataset", "space", "collection", "bucket"})


@dataclass(frozen=True)
class Account:
    """An account and the permissions of its token.

    Attributes:
        name: the account's.
        organisations: those that it belongs to, with its role in each.
        role: of the token: ``read``, ``write`` or ``fineGrained``.
        scopes: of a fine-grained token: the names of accounts and model repos that it may write to.
        proposals: of a fine-grained token: where it may open pull requests; ``*`` for everywhere.
    """

    name: str
    organisations: Mapping[str, str] = field(default_factory=dict)
    role: str = "write"
    scopes: frozenset[str] = frozenset()
    proposals: frozenset[str] = frozenset()

    def check_write(self, repo_id: str, pull_request: bool = False) -> None:
        """Refuse a repo that this token cannot write to, before anything is computed for it.

        Args:
            repo_id: the repo.
            pull_request: only a pull request is to be opened, which needs no role in the repo.

        Raises:
            WriteDenied: saying why.
        """
        # The client's auth_check(write=True) judges existing repos alone and gives no reason; a new repo and a pull
        # request are judged here too.
        why = self._refusal(repo_id)
        if why and not (pull_request and self._proposes(repo_id)):
            raise WriteDenied(repo_id=repo_id, why=why, page=tokens_page())

    def _proposes(self, repo_id: str) -> bool:
        named = {"*", repo_id.partition("/")[0], repo_id}
        return self.role == "write" or (self.role == "fineGrained" and bool(self.proposals & named))

    def _refusal(self, repo_id: str) -> str | None:
        owner = repo_id.partition("/")[0]
        if self.role == "read":
            return "it is a read-only token"
        if self.role == "fineGrained" and not self.scopes & {owner, repo_id}:
            return f"its permissions do not include writing to {owner}"
        if owner == self.name:
            return None
        if owner not in self.organisations:
            return f"it belongs to {self.name}, who is no member of {owner}"
        if self.organisations[owner] not in _WRITING:
            return f"{self.name} has only the role {self.organisations[owner]!r} in {owner}"
        return None


def account() -> Account:
    """Ask the Hub whose token this is.

    Raises:
        NotLoggedIn: there is no token.
        TokenRefused: the Hub does not know it.
        HubSilent: no answer.
    """
    if get_token() is None:
        raise NotLoggedIn(page=tokens_page())
    try:
        answer: dict[str, Any] = HfApi().whoami()
    except LocalTokenNotFoundError as error:
        raise NotLoggedIn(page=tokens_page()) from error
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise TokenRefused(page=tokens_page()) from error
        raise HubSilent(what="whose token this is", why=reason(error, "account")) from error
    except (OfflineModeIsEnabled, HTTPError, OSError) as error:
        raise HubSilent(what="whose token this is", why=reason(error, "account")) from error
    return _account(answer)


def _account(answer: Mapping[str, Any]) -> Account:
    token = (answer.get("auth") or {}).get("accessToken") or {}
    organisations = {entry["name"]: str(entry.get("roleInOrg", "write")) for entry in answer.get("orgs") or ()}
    # A token without a named role is one of an app's login, which acts as the account itself.
    role = str(token.get("role", "write"))
    fine = token.get("fineGrained") or {}
    scopes, proposals = _named(fine, _WRITE), _named(fine, _PROPOSE)
    proposals |= {"*"} if _PROPOSE in (fine.get("global") or ()) else frozenset()
    return Account(str(answer["name"]), organisations, role, scopes, proposals)


def _named(fine: Mapping[str, Any], permission: str) -> frozenset[str]:
    """Return the accounts and model repos for which a fine-grained token has a permission."""
    scoped = [(entry["entity"], entry.get("permissions") or ()) for entry in fine.get("scoped") or ()]
    return frozenset(
        entity["name"] for entity, given in scoped if permission in given and entity.get("type") not in _OTHERS
    )


# How long to wait for the Hub's answer.
SECONDS: Final = 5.0

_VARIABLES: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")

# The HTTP client is another package in other versions of huggingface_hub; InvalidURL of it has no common base,
# and OIDCError is not in every version.
_CLIENT: Final = import_module(HTTPError.__module__.partition(".")[0])
_UNUSABLE: Final[tuple[type[Exception], ...]] = (
    OSError,
    ValueError,
    ImportError,
    RuntimeError,
    HTTPError,
    getattr(_CLIENT, "InvalidURL", HTTPError),
    getattr(errors, "OIDCError", HTTPError),
)


@dataclass(frozen=True)
class TokenState:
    """The state of the token; never the token itself.

    Attributes:
        present: there is one; None if that is not known.
        source: where it comes from: a variable's name, or ``hf auth login``.
        valid: its characters are those of a token.
        account: whose it is and what it allows, as the Hub says.
        refused: the Hub does not know it.
        why: why the Hub was not asked, or why it did not answer.
    """

    present: bool | None = None
    source: str = ""
    valid: bool = True
    account: Account | None = None
    refused: bool = False
    why: str = ""


def token(seconds: float = SECONDS) -> TokenState:
    """Find the token and ask the Hub for its permissions.

    Args:
        seconds: how long to wait for an answer.
    """
    known: list[TokenState] = []
    # A name server that does not answer takes longer than any time-out of the client, hence the thread.
    asking = Thread(target=_ask, args=(known,), daemon=True)
    asking.start()
    asking.join(seconds)
    silent = TokenState(why=f"there was no answer within {seconds:g} s")
    if not known:
        return silent
    last = known[-1]
    if asking.is_alive():
        return TokenState(last.present, last.source, why=silent.why)
    return last


def _ask(known: list[TokenState]) -> None:
    """Append each finding to the list, the presence of the token first."""
    try:
        found = get_token()
    except _UNUSABLE as error:
        unreadable = isinstance(error, UnicodeError)
        known.append(TokenState(True if unreadable else None, _source(), not unreadable, why=type(error).__name__))
        return
    state = TokenState(found is not None, _source() if found else "")
    known.append(state)
    if found is None:
        return
    if not (found.isascii() and found.isprintable() and " " not in found):
        known.append(TokenState(True, state.source, valid=False))
    elif constants.is_offline_mode():
        known.append(TokenState(True, state.source, why="offline mode is on"))
    else:
        known.append(_answer(state))


def _answer(state: TokenState) -> TokenState:
    try:
        return TokenState(True, state.source, account=account())
    except HubSilent as error:
        return TokenState(True, state.source, why=str(error.facts["why"]))
    except SpinHubError:
        return TokenState(True, state.source, refused=True)
    except (KeyError, TypeError, AttributeError):
        return TokenState(True, state.source, why="it answered with something else than an account")
    except _UNUSABLE as error:
        return TokenState(True, state.source, why=_reason(error))


def _reason(error: Exception) -> str:
    if "JSON" in type(error).__name__:
        return "it answered with something else than an account"
    return f"the request could not be made ({type(error).__name__}); look at HF_ENDPOINT and at the proxies"


def _source() -> str:
    return next((name for name in _VARIABLES if os.environ.get(name, "").strip()), "hf auth login")


def endpoint() -> str:
    """Return the Hub's address, which HF_ENDPOINT may have set; it may contain a password."""
    return str(constants.ENDPOINT)


def is_offline() -> bool:
    """Return True if HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set."""
    return bool(constants.is_offline_mode())
