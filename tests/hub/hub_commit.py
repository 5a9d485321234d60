"""Commits as the client sends them: a header and one operation a line."""

import base64
import json
from typing import Any

from hub_access import commit_of, forbidden
from hub_modes import SMALL, fits, is_binary, large_patterns
from hub_repo import Commit, File, Repo, open_pull
from hub_state import State
from hub_users import Caller
from hub_validation import validate
from hub_wire import Answer, Refusal, Request, json_answer

STALE = "A commit has happened since. Please refresh and try again."
GONE = "A file with this name doesn't exist"


class Commits:
    """Answers commits, on branches and pull requests."""

    def __init__(self, state: State) -> None:
        self._state = state

    def commit(self, request: Request) -> Answer:
        """All operations or none; two clients at once take turns, and ``parentCommit`` tells the later one."""
        repo, caller = self._state.access.proposable(request)
        header, operations = _lines(request.bytes())
        added = {
            entry["path"]: self._added(repo, key, entry) for key, entry in operations if key in {"file", "lfsFile"}
        }
        with self._state.store.lock:
            proposes = request.flag("create_pr")
            ref = "refs/heads/main" if proposes else _branch(repo, request.parts["rev"])
            if not proposes and not _may_commit(repo, ref, caller):
                raise forbidden(caller)
            head = repo.commits[repo.refs[ref]]
            parent = header.get("parentCommit")
            if parent and not proposes and not head.oid.startswith(parent):
                raise Refusal(412, STALE)
            base = commit_of(repo, parent) if parent and proposes else head
            tree = _applied(base, operations, added)
            self._note_large(repo, tree)
            self._check_card(repo, base, tree)
            note = (header["summary"], header.get("description", ""), caller.name or "")
            pull = open_pull(repo, base, note) if proposes else None
            ref = f"refs/pr/{pull.num}" if pull else ref
            made = self._state.store.commit(repo, ref, tree, note)
            self._state.store.save(repo)
        page = f"{self._state.url}/{repo.page}"
        answer = {"success": True, "commitOid": made.oid, "commitUrl": f"{page}/commit/{made.oid}", "hookOutput": ""}
        if pull is not None:
            answer["pullRequestUrl"] = f"{page}/discussions/{pull.num}"
        return json_answer(answer)

    def _added(self, repo: Repo, key: str, operation: dict[str, Any]) -> File:
        """The entry of a file that a line brings; of a large one only the name of its content comes."""
        path = operation["path"]
        if key == "file":
            content = base64.b64decode(operation["content"])
            _check_small(path, content)
            sha256, size = self._state.store.blobs.add(content)
            return self._state.store.file(sha256, size, lfs=False)
        oid = operation["oid"]
        size = repo.objects.get(oid)
        if size is None and self._state.shared_objects and oid in self._state.store.blobs:
            size = self._state.store.blobs.path(oid).stat().st_size
        if size is None:
            why = "an LFS pointer pointed to a file that does not exist"
            raise Refusal(400, f"Your push was rejected because {why}.\nOffending file: - {path}")
        return self._state.store.file(oid, size, lfs=True)

    def _note_large(self, repo: Repo, tree: dict[str, File]) -> None:
        """Large files that no pattern covers get a line of their own in ``.gitattributes``, as on the real Hub."""
        if (file := tree.get(".gitattributes")) is None:
            return
        attributes = self._state.store.blobs.read(file.sha256)
        patterns = large_patterns(attributes)
        new = [name for name, entry in tree.items() if entry.lfs and not fits(name, patterns)]
        if new:
            attributes += "".join(f"{name} filter=lfs diff=lfs merge=lfs -text\n" for name in new).encode()
            tree[".gitattributes"] = self._state.store.file(*self._state.store.blobs.add(attributes), lfs=False)

    def _check_card(self, repo: Repo, base: Commit, tree: dict[str, File]) -> None:
        card = tree.get("README.md")
        if card is None or card == base.tree.get("README.md"):
            return
        errors, _ = validate(self._state.store.blobs.read(card.sha256).decode("utf-8", "replace"), repo.kind)
        if errors:
            raise Refusal(400, "\n".join(errors))


def _lines(body: bytes) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    lines = [json.loads(line) for line in body.splitlines() if line.strip()]
    if not lines or lines[0].get("key") != "header" or not lines[0]["value"].get("summary"):
        raise Refusal(400, "The first line must be a header with a summary.")
    operations = [(line["key"], line["value"]) for line in lines[1:]]
    for key, _ in operations:
        if key not in {"file", "lfsFile", "deletedFile", "deletedFolder"}:
            raise Refusal(400, f"Unknown operation {key}")
    return lines[0]["value"], operations


def _check_small(path: str, content: bytes) -> None:
    if len(content) > SMALL:
        raise Refusal(400, f"Your push was rejected because it contains files larger than 10 MiB.\nOffending: {path}")
    if is_binary(content[:512]):
        raise Refusal(400, f"Your push was rejected because it contains binary files.\nOffending files: {path}")


def _branch(repo: Repo, revision: str) -> str:
    """The full name of what a commit goes to: a branch or an open pull request, never a tag or a hash."""
    ref = repo.ref(revision)
    if ref is None or ref.startswith("refs/tags/"):
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return ref


def _may_commit(repo: Repo, ref: str, caller: Caller) -> bool:
    """Those who write in the repo, and the author of a pull request on it."""
    mine = {f"refs/pr/{pull.num}" for pull in repo.pulls if pull.author == caller.name and pull.status == "open"}
    return caller.may_write(repo) or ref in mine


def _applied(base: Commit, operations: list[tuple[str, dict[str, Any]]], added: dict[str, File]) -> dict[str, File]:
    tree = dict(base.tree)
    for key, operation in operations:
        path = operation["path"].strip("/")
        if key == "deletedFolder":
            inside = [name for name in tree if name.startswith(f"{path}/")]
            if not inside:
                raise Refusal(404, GONE, "EntryNotFound")
            for name in inside:
                del tree[name]
        elif key == "deletedFile":
            if tree.pop(path, None) is None:
                raise Refusal(404, GONE, "EntryNotFound")
        else:
            tree[path] = added[operation["path"]]
    return tree
