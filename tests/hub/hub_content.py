"""The repos of a local Hub from the side of a test, without requests."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from hub_modes import ATTRIBUTES, is_large, large_patterns
from hub_repo import Commit, File, Kind, PullRequest, Repo
from hub_store import Store


class Contents:
    """Puts files into repos and tells what is in them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def grant(self, name: str, repo_id: str, kind: Kind = "model") -> None:
        """Lets a user read a gated repo."""
        repo = self.repo(repo_id, kind)
        with self.store.lock:
            repo.granted.append(name)
            self.store.save(repo)

    def put(
        self,
        repo_id: str,
        content: Path | Mapping[str, bytes | str | Path],
        kind: Kind = "model",
        message: str = "Add files",
        private: bool = False,
        gated: Literal["auto", "manual", False] | bool = False,
        revision: str = "main",
        remove: Iterable[str] = (),
    ) -> str:
        """Makes one commit of a folder, or of files by path, on top of what is there; a missing repo is made.

        Args:
            repo_id: the repo.
            content: the files to add or change.
            kind: ``model`` or ``dataset``.
            message: the commit's title.
            private, gated: of a repo that is made by this.
            revision: a branch, which is made where it is missing.
            remove: paths to take away.

        Returns:
            The commit, or the head where nothing changes.
        """
        if isinstance(content, Path):
            content = {p.relative_to(content).as_posix(): p for p in sorted(content.rglob("*")) if p.is_file()}
        with self.store.lock:
            repo = self.store.get(kind, repo_id)
            if repo is None:
                closed = "manual" if gated is True else gated
                repo = self.store.create(Repo(kind, repo_id, private=private, gated=closed))
            ref = repo.ref(revision) or f"refs/heads/{revision}"
            base = repo.resolve(revision) or repo.resolve("main")
            tree = {name: file for name, file in (base.tree if base else {}).items() if name not in set(remove)}
            tree |= {name: self._file(kind, name, data) for name, data in content.items()}
            if base is not None:
                repo.refs.setdefault(ref, base.oid)
            return self.store.commit(repo, ref, tree, (message, "", repo.namespace)).oid

    def _file(self, kind: Kind, name: str, data: bytes | str | Path) -> File:
        sha256, size = self.store.blobs.add(data.encode() if isinstance(data, str) else data)
        with self.store.blobs.path(sha256).open("rb") as file:
            sample = file.read(512)
        large = size > 0 and is_large(name, size, sample, large_patterns(ATTRIBUTES[kind]))
        return self.store.file(sha256, size, large)

    def move(self, old: str, new: str, kind: Kind = "model") -> None:
        """Gives a repo another name; the client is sent on from the old one, while this Hub runs."""
        self.store.move(self.repo(old, kind), new)

    def repo(self, repo_id: str, kind: Kind = "model") -> Repo:
        """A repo as it is kept.

        Raises:
            KeyError: there is none.
        """
        repo = self.store.get(kind, repo_id)
        if repo is None:
            raise KeyError(repo_id)
        return repo

    def repo_ids(self, kind: Kind = "model") -> list[str]:
        return [repo.id for repo in self.store.repos(kind)]

    def head(self, repo_id: str, revision: str = "main", kind: Kind = "model") -> Commit:
        commit = self.repo(repo_id, kind).resolve(revision)
        if commit is None:
            raise KeyError(revision)
        return commit

    def sha(self, repo_id: str, revision: str = "main", kind: Kind = "model") -> str:
        return self.head(repo_id, revision, kind).oid

    def files(self, repo_id: str, revision: str = "main", kind: Kind = "model") -> dict[str, bytes]:
        """Every file with its content; ``head(...).tree`` has sizes and hashes without reading."""
        tree = self.head(repo_id, revision, kind).tree
        return {name: self.store.blobs.read(file.sha256) for name, file in tree.items()}

    def commits(self, repo_id: str, revision: str = "main", kind: Kind = "model") -> list[Commit]:
        """Newest first."""
        return list(self.repo(repo_id, kind).history(self.head(repo_id, revision, kind)))

    def pull_requests(self, repo_id: str, kind: Kind = "model") -> list[PullRequest]:
        return self.repo(repo_id, kind).pulls

    def tags(self, repo_id: str, kind: Kind = "model") -> dict[str, str]:
        return self._refs(repo_id, kind, "refs/tags/")

    def branches(self, repo_id: str, kind: Kind = "model") -> dict[str, str]:
        return self._refs(repo_id, kind, "refs/heads/")

    def _refs(self, repo_id: str, kind: Kind, start: str) -> dict[str, str]:
        refs = self.repo(repo_id, kind).refs
        return {name.removeprefix(start): oid for name, oid in refs.items() if name.startswith(start)}

    def delete(self, repo_id: str, kind: Kind = "model") -> None:
        self.store.delete(self.repo(repo_id, kind))
