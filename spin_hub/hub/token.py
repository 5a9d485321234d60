"""The Hub's token: whether there is one, its account, and the repos to which it may write; never shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from threading import Thread
from typing import Any, Final

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from spin_hub.errors import HubSilent, NotLoggedIn, SpinHubError, TokenRefused, WriteDenied
from spin_hub.hub.answers import CLIENT_ERRORS, NotAHub
from spin_hub.hub.client import patiently, typed
from spin_hub.hub.failures import reason
from spin_hub.hub.settings import is_offline, token_fault, token_source, tokens_page

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

    def check_write(self, repo_id: str, pull_request: bool = False) -> str | None:
        """Refuse a repo that this token cannot write to, before anything is computed for it.

        Args:
            repo_id: the repo.
            pull_request: only a pull request is to be opened, which needs no role in the repo.

        Returns:
            Why the Hub may refuse it all the same, or None: a resource group may allow what the role does not.

        Raises:
            WriteDenied: saying why.
        """
        # The Hub itself judges existing repos alone and gives no reason; a new repo and a pull request are judged here.
        why = self._refusal(repo_id)
        if why and not (pull_request and self._proposes(repo_id)):
            raise WriteDenied(repo_id=repo_id, why=why, page=tokens_page())
        owner = repo_id.partition("/")[0]
        role = self.organisations.get(owner, "write")
        if pull_request or owner == self.name or role in _WRITING:
            return None
        return f"{self.name} has only the role {role!r} in {owner}"

    def _proposes(self, repo_id: str) -> bool:
        named = {"*", repo_id.partition("/")[0], repo_id}
        return self.role == "write" or (self.role == "fineGrained" and bool(self.proposals & named))

    def _refusal(self, repo_id: str) -> str | None:
        owner = repo_id.partition("/")[0]
        if self.role == "read":
            return "it is a read-only token"
        if self.role == "fineGrained" and not self.scopes & {owner, repo_id}:
            return f"its permissions do not include writing to {owner}"
        if owner != self.name and owner not in self.organisations:
            return f"it belongs to {self.name}, who is not a member of {owner}"
        return None


def account(patient: bool = True) -> Account:
    """Ask the Hub whose token this is.

    Args:
        patient: wait for a busy Hub.

    Raises:
        NotLoggedIn: there is no token.
        TokenRefused: the Hub does not know it, or it cannot be a token.
        HubSilent: no answer.
    """

    def asked() -> Account:
        try:
            answer = HfApi().whoami()
        except LocalTokenNotFoundError as error:
            raise NotLoggedIn(page=tokens_page()) from error
        try:
            return _account(answer)
        except (LookupError, TypeError, AttributeError) as error:
            raise NotAHub("no account") from error

    about = "whose token this is"
    if patient:
        return patiently(None, about, asked)
    with typed(None, about):
        return asked()


def check_writable(repo_id: str, why: str) -> None:
    """Ask the Hub whether this token may write to a repo that exists.

    Args:
        repo_id: the repo.
        why: why that is in doubt.

    Raises:
        WriteDenied: it may not.
        HubSilent: no answer.
    """

    def asked() -> None:
        # The client's own auth_check has no question for the right to write in every version.
        url = f"{constants.ENDPOINT}/api/models/{repo_id}/auth-check/write"
        try:
            hf_raise_for_status(get_session().get(url, headers=build_hf_headers()))
        except HfHubHTTPError as error:
            if error.response.status_code in (401, 403):
                raise WriteDenied(repo_id=repo_id, why=f"{why}, and the Hub refuses it", page=tokens_page()) from error
            raise

    patiently(None, f"whether {repo_id} may be written to", asked)


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


@dataclass(frozen=True)
class TokenState:
    """The state of the token; never the token itself.

    Attributes:
        present: there is one; None if that is not known.
        source: where it comes from: a variable's name, or ``hf auth login``.
        fault: why it cannot be a token, as a clause that does not show it.
        account: whose it is and what it allows, as the Hub says.
        refused: the Hub does not know it.
        why: why the Hub was not asked, or why it did not answer.
    """

    present: bool | None = None
    source: str = ""
    fault: str | None = None
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
        fault = token_fault()
        present = fault is not None or get_token() is not None
    except CLIENT_ERRORS as error:
        known.append(TokenState(None, token_source(), why=reason(error)))
        return
    state = TokenState(present, token_source() if present else "", fault)
    known.append(state)
    if not present or fault:
        return
    if is_offline():
        known.append(replace(state, why="offline mode is on"))
        return
    try:
        known.append(replace(state, account=account(patient=False)))
    except TokenRefused:
        known.append(replace(state, refused=True))
    except HubSilent as error:
        known.append(replace(state, why=str(error.facts["why"])))
    except SpinHubError as error:
        known.append(replace(state, why=error.message))
