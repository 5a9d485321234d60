"""Whose token this is, and to which repos it may write."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

from spin_hub.errors import HubSilent, NotLoggedIn, TokenRefused, WriteDenied
from spin_hub.hub.reasons import reason

_WRITING: Final = frozenset({"admin", "write", "contributor"})
_WRITE: Final = "repo.write"
_PROPOSE: Final = "discussion.write"
_OTHERS: Final = frozenset({"dataset", "space", "collection", "bucket"})


@dataclass(frozen=True)
class Account:
    """An account and what its token allows.

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
        """Refuses a repo that this token cannot write to, before anything is computed for it.

        Args:
            repo_id: the repo.
            pull_request: whether it is only to get a pull request, which needs no role in it.

        Raises:
            WriteDenied: saying why.
        """
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
    """Asks the Hub whose token this is.

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


def tokens_page() -> str:
    """Where a person makes a token."""
    return f"{constants.ENDPOINT}/settings/tokens"


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
    """The accounts and model repos for which a fine-grained token has a permission."""
    scoped = [(entry["entity"], entry.get("permissions") or ()) for entry in fine.get("scoped") or ()]
    return frozenset(
        entity["name"] for entity, given in scoped if permission in given and entity.get("type") not in _OTHERS
    )
