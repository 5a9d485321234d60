"""What the local Hub keeps: repos with their commits as JSON, and the bytes of files once each, by sha256."""

import hashlib
import json
import shutil
import threading
import uuid
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from hub_repo import Commit, File, Kind, PullRequest, Repo, git_oid, now, pointer

BLOCK = 1 << 20


class Blobs:
    """Files by the sha256 of their content; what is here never changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.incoming = folder / "incoming"
        self.incoming.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

    def __contains__(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def read(self, sha256: str) -> bytes:
        return self.path(sha256).read_bytes()

    def draft(self) -> Path:
        """A place of its own for bytes that are still arriving."""
        return self.incoming / uuid.uuid4().hex

    def adopt(self, draft: Path, sha256: str) -> None:
        """Takes over a complete draft; two at once with the same content are one blob."""
        self.path(sha256).parent.mkdir(exist_ok=True)
        draft.replace(self.path(sha256))

    def add(self, content: bytes | Path) -> tuple[str, int]:
        """Stores bytes or the copy of a file.

        Returns:
            Its sha256 and size.
        """
        draft = self.draft()
        if isinstance(content, Path):
            shutil.copyfile(content, draft)
        else:
            draft.write_bytes(content)
        with draft.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = draft.stat().st_size
        self.adopt(draft, sha256)
        return sha256, size


class Store:
    """All repos of one Hub; whoever changes several things at once holds ``lock``."""

    def __init__(self, folder: Path) -> None:
        self.lock = threading.RLock()
        self.blobs = Blobs(folder / "blobs")
        self._folder = folder / "repos"
        self._repos: dict[tuple[Kind, str], Repo] = {}
        self.moved: dict[tuple[Kind, str], str] = {}
        for path in sorted(self._folder.glob("*/*/*/repo.json")):
            repo = _read(path)
            self._repos[repo.kind, repo.id] = repo

    def get(self, kind: Kind, repo_id: str) -> Repo | None:
        return self._repos.get((kind, repo_id))

    def repos(self, kind: Kind) -> list[Repo]:
        with self.lock:
            return [repo for (its, _), repo in sorted(self._repos.items()) if its == kind]

    def move(self, repo: Repo, repo_id: str) -> None:
        """Gives a repo another name; who asks for the old one is sent on."""
        with self.lock:
            self.moved[repo.kind, repo.id] = repo_id
            place = self._place(repo)
            del self._repos[repo.kind, repo.id]
            repo.id = repo_id
            self._place(repo).parent.mkdir(parents=True, exist_ok=True)
            place.replace(self._place(repo))
            self.create(repo)

    def create(self, repo: Repo) -> Repo:
        with self.lock:
            self._repos[repo.kind, repo.id] = repo
            self.save(repo)
            return repo

    def delete(self, repo: Repo) -> None:
        with self.lock:
            del self._repos[repo.kind, repo.id]
            shutil.rmtree(self._place(repo))

    def save(self, repo: Repo) -> None:
        """Writes all of a repo but its commits, whole or not at all."""
        with self.lock:
            content = {entry.name: getattr(repo, entry.name) for entry in fields(repo) if entry.name != "commits"}
            _write(self._place(repo) / "repo.json", {**content, "pulls": [asdict(pull) for pull in repo.pulls]})

    def file(self, sha256: str, size: int, lfs: bool) -> File:
        """The entry of a stored blob."""
        return File(size, git_oid(pointer(sha256, size) if lfs else self.blobs.read(sha256)), sha256, lfs)

    def commit(self, repo: Repo, ref: str, tree: Mapping[str, File], note: tuple[str, str, str]) -> Commit:
        """Puts a commit on a reference; a tree that is the head's makes none and gives the head.

        Args:
            repo: where.
            ref: the full name of the branch or pull request; a new one begins without a parent.
            tree: all files.
            note: title, message and author.
        """
        with self.lock:
            head = repo.commits[repo.refs[ref]] if ref in repo.refs else None
            if head is not None and head.tree == dict(tree):
                return head
            title, message, author = note
            content = [head and head.oid, title, message, author, now(), {name: asdict(f) for name, f in tree.items()}]
            oid = hashlib.sha1(json.dumps(content, sort_keys=True).encode()).hexdigest()
            commit = Commit(oid, head and head.oid, title, message, author, str(content[4]), dict(sorted(tree.items())))
            _write(self._place(repo) / "commits" / f"{oid}.json", asdict(commit))
            repo.commits[oid] = commit
            repo.refs[ref] = oid
            repo.objects |= {entry.sha256: entry.size for entry in tree.values() if entry.lfs}
            self.save(repo)
            return commit

    def _place(self, repo: Repo) -> Path:
        return self._folder / f"{repo.kind}s" / repo.id


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{uuid.uuid4().hex}")
    draft.write_text(json.dumps(content, indent=1))
    draft.replace(path)


def _read(path: Path) -> Repo:
    content = json.loads(path.read_text())
    content["pulls"] = [PullRequest(**pull) for pull in content["pulls"]]
    repo = Repo(**content)
    for entry in (path.parent / "commits").glob("*.json"):
        commit = json.loads(entry.read_text())
        tree = {name: File(**file) for name, file in commit["tree"].items()}
        repo.commits[commit["oid"]] = Commit(**{**commit, "tree": tree})
    return repo
