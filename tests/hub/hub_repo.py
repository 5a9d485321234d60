"""A repo of the local Hub: its commits, references and pull requests."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

Kind = Literal["model", "dataset"]


def now() -> str:
    """The time as the Hub writes it; the microseconds keep commits of one millisecond apart in order."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def git_oid(data: bytes) -> str:
    """The name git gives to a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """What git keeps in place of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


@dataclass(frozen=True)
class File:
    """A file of a commit; ``oid`` is git's name of it, or of its pointer where it is a large one (``lfs``)."""

    size: int
    oid: str
    sha256: str
    lfs: bool


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    title: str
    message: str
    author: str
    date: str
    tree: dict[str, File]


@dataclass
class PullRequest:
    """A proposal; its commits are under ``refs/pr/num`` and began at ``base``."""

    num: int
    title: str
    author: str
    base: str
    description: str = ""
    status: str = "open"
    date: str = field(default_factory=now)
    merged: str | None = None


@dataclass
class Repo:
    """A repo; ``objects`` are the large files that its uploaders need not send again, in a commit or not yet."""

    kind: Kind
    id: str
    private: bool = False
    gated: Literal["auto", "manual", False] = False
    created: str = field(default_factory=now)
    refs: dict[str, str] = field(default_factory=dict)
    granted: list[str] = field(default_factory=list)
    objects: dict[str, int] = field(default_factory=dict)
    pulls: list[PullRequest] = field(default_factory=list)
    commits: dict[str, Commit] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        return self.id.split("/")[0]

    @property
    def page(self) -> str:
        """The path of the repo's web page."""
        return self.id if self.kind == "model" else f"datasets/{self.id}"

    def ref(self, revision: str) -> str | None:
        """The full name of the reference that a revision means, if it means one."""
        names = [f"refs/heads/{revision}", f"refs/tags/{revision}", revision]
        return next((name for name in names if name in self.refs), None)

    def resolve(self, revision: str) -> Commit | None:
        """The commit of a branch, tag, full reference, hash or its first seven or more digits."""
        if (name := self.ref(revision)) is not None:
            return self.commits[self.refs[name]]
        if revision in self.commits:
            return self.commits[revision]
        known = list(self.commits.items())
        short = [commit for oid, commit in known if len(revision) >= 7 and oid.startswith(revision)]
        return short[0] if len(short) == 1 else None

    def history(self, commit: Commit) -> Iterator[Commit]:
        """A commit and those before it, newest first."""
        step: Commit | None = commit
        while step is not None:
            yield step
            step = self.commits[step.parent] if step.parent else None


def open_pull(repo: Repo, base: Commit, note: tuple[str, str, str], status: str = "open") -> PullRequest:
    """Adds a pull request that begins at a commit; ``note`` is its title, description and author."""
    title, description, author = note
    pull = PullRequest(len(repo.pulls) + 1, title, author, base.oid, description, status)
    repo.pulls.append(pull)
    repo.refs[f"refs/pr/{pull.num}"] = base.oid
    return pull
