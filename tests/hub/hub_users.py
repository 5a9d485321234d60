"""Who asks the local Hub, and what their token lets them do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hub_repo import Kind, Repo

Role = Literal["read", "write", "fineGrained"]
WRITERS = {"admin", "write", "contributor"}


@dataclass(frozen=True)
class Caller:
    """One token of a user; the caller without a name is anybody.

    Attributes:
        orgs: organisations and the user's role in each.
        scopes: of a fine-grained token: user, organisation, ``org/name`` or ``datasets/org/name`` -> permissions.
        everywhere: permissions of a fine-grained token that have no scope, such as ``discussion.write``.
        reads_gated: whether a fine-grained token may read gated repos that its user was let into.
        groups: repos, and organisations for new ones, in which a resource group lets the user write.
    """

    name: str | None = None
    role: Role | None = None
    orgs: Mapping[str, str] = field(default_factory=dict)
    scopes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    everywhere: tuple[str, ...] = ()
    reads_gated: bool = True
    groups: tuple[str, ...] = ()

    def may_see(self, repo: Repo) -> bool:
        """A public repo's page is for everyone; a private one's for its namespace."""
        return not repo.private or (self._member(repo.namespace) and self._permitted(repo, "repo.content.read"))

    def may_read(self, repo: Repo) -> bool:
        """The files of a gated repo are for its namespace and for whom it was opened to."""
        if not self.may_see(repo) or (repo.gated and not self.reads_gated):
            return False
        return not repo.gated or self._member(repo.namespace) or self.name in repo.granted

    def may_write(self, repo: Repo) -> bool:
        return repo.id in self.groups or (self._writes_in(repo.namespace) and self._permitted(repo, "repo.write"))

    def may_create(self, namespace: str) -> bool:
        permissions = self.scopes.get(namespace, ())
        return namespace in self.groups or (
            self._writes_in(namespace) and (self.role != "fineGrained" or "repo.write" in permissions)
        )

    def may_propose(self, repo: Repo) -> bool:
        """Anyone who reads a repo may open a pull request, if the token may write at all."""
        writes = self.role == "write" or "discussion.write" in self.everywhere
        return self.may_read(repo) and (writes or self.may_write(repo))

    def _member(self, namespace: str) -> bool:
        return self.name is not None and (namespace == self.name or namespace in self.orgs)

    def _writes_in(self, namespace: str) -> bool:
        if self.role not in {"write", "fineGrained"}:
            return False
        return namespace == self.name or self.orgs.get(namespace) in WRITERS

    def _permitted(self, repo: Repo, permission: str) -> bool:
        if self.role != "fineGrained":
            return True
        granted = {*self.scopes.get(repo.namespace, ()), *self.scopes.get(repo.page, ())}
        return permission in granted or (permission == "repo.content.read" and "repo.write" in granted)

    def whoami(self) -> dict[str, Any]:
        """The page ``/api/whoami-v2``."""
        token: dict[str, Any] = {"displayName": "local", "role": self.role, "createdAt": "2026-01-01T00:00:00.000Z"}
        if self.role == "fineGrained":
            token["fineGrained"] = {
                "canReadGatedRepos": self.reads_gated,
                "global": list(self.everywhere),
                "scoped": [
                    {"entity": self._entity(name), "permissions": list(permissions)}
                    for name, permissions in self.scopes.items()
                ],
            }
        orgs = [
            {
                "type": "org",
                "id": f"org-{name}",
                "name": name,
                "fullname": name,
                "roleInOrg": role,
                "isEnterprise": False,
            }
            for name, role in self.orgs.items()
        ]
        return {
            "type": "user", "id": f"user-{self.name}", "name": self.name, "fullname": self.name, "isPro": False,
            "emailVerified": True, "canPay": False, "orgs": orgs,
            "auth": {"type": "access_token", "accessToken": token},
        }  # fmt: skip

    def _entity(self, name: str) -> dict[str, str]:
        if "/" not in name:
            return {"_id": f"id-{name}", "type": "user" if name == self.name else "org", "name": name}
        kind: Kind = "dataset" if name.startswith("datasets/") else "model"
        return {"_id": f"id-{name}", "type": kind, "name": name.removeprefix("datasets/")}


class Users:
    """Tokens and whose they are; a token is never shown again."""

    def __init__(self) -> None:
        self._tokens: dict[str, Caller] = {}

    def add(self, token: str, name: str, role: Role, orgs: Iterable[str] | Mapping[str, str], **more: Any) -> Caller:
        roles = dict(orgs) if isinstance(orgs, Mapping) else dict.fromkeys(orgs, "write")
        self._tokens[token] = Caller(name, role, roles, **more)
        return self._tokens[token]

    def caller(self, header: str | None) -> Caller | None:
        """Whom an Authorization header names: anybody without one, None for a token that nobody has."""
        if header is None:
            return Caller()
        scheme, _, token = header.partition(" ")
        return self._tokens.get(token.strip()) if scheme.lower() == "bearer" else None
