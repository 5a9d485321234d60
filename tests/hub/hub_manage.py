"""What changes repos without a commit: creation and deletion, settings, tags, branches and discussions."""

import re
from typing import Any

from hub_access import commit_of
from hub_modes import ATTRIBUTES
from hub_repo import Kind, PullRequest, Repo, open_pull
from hub_state import State
from hub_validation import validate
from hub_wire import Answer, Refusal, Request, json_answer

NAME = re.compile(r"(?!.*(--|\.\.))[\w][\w.-]{0,95}(?<![.-])")
BRANCH = re.compile(r"(?!refs/)[\w][\w./-]*")


class Management:
    """Answers the requests of those who own a repo."""

    def __init__(self, state: State) -> None:
        self._state = state

    def create(self, request: Request) -> Answer:
        """A new repo begins with one commit that says which files are large, as the real ones do."""
        caller = self._state.access.user(request)
        asked = request.json()
        kind = _kind(asked)
        namespace, name = asked.get("organization") or caller.name, asked.get("name") or ""
        if not NAME.fullmatch(name) or name.endswith((".git", ".ipynb")):
            raise Refusal(400, f"Invalid repo name {name}: use letters, digits, -, _ and ., 96 characters at most")
        repo_id = f"{namespace}/{name}"
        if not caller.may_create(namespace):
            raise Refusal(403, f'You don\'t have the rights to create a {kind} under the namespace "{namespace}"')
        with self._state.store.lock:
            if (known := self._state.store.get(kind, repo_id)) is not None:
                answer = self._made(known)
                raise Refusal(409, f"You already created this {kind} repo", **answer)
            private = asked.get("visibility") == "private" or bool(asked.get("private"))
            repo = self._state.store.create(Repo(kind, repo_id, private=private))
            attributes = self._state.store.file(*self._state.store.blobs.add(ATTRIBUTES[kind]), lfs=False)
            note = ("initial commit", "", caller.name or "")
            self._state.store.commit(repo, "refs/heads/main", {".gitattributes": attributes}, note)
        return json_answer(self._made(repo))

    def delete(self, request: Request) -> Answer:
        caller = self._state.access.user(request)
        asked = request.json()
        namespace = asked.get("organization") or caller.name
        repo = self._state.access.visible(_kind(asked), f"{namespace}/{asked['name']}", caller)
        if not caller.may_write(repo):
            raise Refusal(403, "You don't have the rights to delete this repo")
        self._state.store.delete(repo)
        return Answer(200, b"OK", {"Content-Type": "text/plain"})

    def settings(self, request: Request) -> Answer:
        repo, _ = self._state.access.writable(request)
        asked = request.json()
        with self._state.store.lock:
            if "visibility" in asked or "private" in asked:
                repo.private = asked.get("visibility") == "private" or bool(asked.get("private"))
            repo.gated = asked.get("gated", repo.gated)
            self._state.store.save(repo)
        return json_answer({"private": repo.private, "gated": repo.gated})

    def tag(self, request: Request) -> Answer:
        repo, _ = self._state.access.writable(request)
        if request.method == "DELETE":
            return self._remove(repo, f"refs/tags/{request.parts['rev']}")
        commit = commit_of(repo, request.parts["rev"])
        return self._point(repo, f"refs/tags/{request.json()['tag']}", commit.oid)

    def branch(self, request: Request) -> Answer:
        repo, _ = self._state.access.writable(request)
        name = request.parts["rev"]
        if request.method == "DELETE":
            if name == "main":
                raise Refusal(403, "Cannot delete the branch main")
            return self._remove(repo, f"refs/heads/{name}")
        if not BRANCH.fullmatch(name):
            raise Refusal(400, f"Invalid reference for a branch: {name}")
        start = (request.json() or {}).get("startingPoint") or "main"
        return self._point(repo, f"refs/heads/{name}", commit_of(repo, start).oid)

    def validate(self, request: Request) -> Answer:
        """The check of a card before a push; it needs no token."""
        self._state.access.caller(request)
        asked = request.json()
        errors, warnings = validate(asked["content"], asked.get("repoType") or "model")
        body = {"errors": [{"message": text} for text in errors], "warnings": [{"message": text} for text in warnings]}
        if errors and "text/plain" in request.headers.get("Accept", ""):
            return Answer(
                400, "\n".join(f"- Error: {error}" for error in errors).encode(), {"Content-Type": "text/plain"}
            )
        if errors:
            return json_answer({"error": "Invalid metadata in README.md", **body}, 400)
        return json_answer(body)

    def discussions(self, request: Request) -> Answer:
        """The pull requests of a repo, or one with what happened to it; merging takes its files to main."""
        repo, caller = self._state.access.readable(request)
        if not (number := request.parts.get("num")):
            if request.method == "POST":
                return self._propose(request)
            rows = [self._pull(repo, pull) for pull in reversed(repo.pulls)]
            wanted = request.option("status")
            rows = [row for row in rows if wanted in {None, "all", "open" if row["status"] == "open" else "closed"}]
            return json_answer({"discussions": rows, "count": len(rows), "start": 0})
        found = [pull for pull in list(repo.pulls) if str(pull.num) == number]
        if not found:
            raise Refusal(404, "Discussion not found")
        if request.method == "POST":
            self._state.access.writable(request)
            self._change(repo, found[0], request, caller.name or "")
        detail = {"events": [], "filesWithConflicts": [], "changes": {"base": "refs/heads/main"}, "diff": ""}
        if found[0].merged:
            detail["changes"] = {"base": "refs/heads/main", "mergeCommitId": found[0].merged}
        return json_answer(self._pull(repo, found[0]) | detail)

    def _propose(self, request: Request) -> Answer:
        """An empty pull request, to which commits come later."""
        repo, caller = self._state.access.proposable(request)
        asked = request.json()
        if not asked.get("pullRequest"):
            raise Refusal(400, "This Hub has pull requests only")
        with self._state.store.lock:
            base = commit_of(repo, "main")
            pull = open_pull(repo, base, (asked["title"], asked["description"], caller.name or ""), "draft")
            self._state.store.save(repo)
        return json_answer(self._pull(repo, pull))

    def _change(self, repo: Repo, pull: PullRequest, request: Request, author: str) -> None:
        with self._state.store.lock:
            if request.parts["verb"] == "status":
                pull.status = request.json()["status"]
            else:
                base, head = repo.commits[pull.base].tree, repo.commits[repo.refs[f"refs/pr/{pull.num}"]].tree
                tree = dict(commit_of(repo, "main").tree)
                for name in {*base, *head}:
                    if base.get(name) != head.get(name):
                        tree.pop(name, None)
                        tree |= {name: head[name]} if name in head else {}
                note = (f"{pull.title} (#{pull.num})", "", author)
                pull.merged = self._state.store.commit(repo, "refs/heads/main", tree, note).oid
                pull.status = "merged"
            self._state.store.save(repo)

    def _pull(self, repo: Repo, pull: PullRequest) -> dict[str, Any]:
        return {
            "num": pull.num, "title": pull.title, "status": pull.status, "isPullRequest": True,
            "author": {"name": pull.author}, "createdAt": pull.date, "repo": {"name": repo.id, "type": repo.kind},
        }  # fmt: skip

    def _made(self, repo: Repo) -> dict[str, Any]:
        return {"url": f"{self._state.url}/{repo.page}", "name": repo.id, "id": f"{repo.page}#id"}

    def _point(self, repo: Repo, ref: str, oid: str) -> Answer:
        with self._state.store.lock:
            if ref in repo.refs:
                raise Refusal(409, f"Reference {ref} already exists")
            repo.refs[ref] = oid
            self._state.store.save(repo)
        return json_answer({"ref": ref, "targetCommit": oid})

    def _remove(self, repo: Repo, ref: str) -> Answer:
        with self._state.store.lock:
            if repo.refs.pop(ref, None) is None:
                raise Refusal(404, f"Reference {ref} not found", "RevisionNotFound")
            self._state.store.save(repo)
        return json_answer({})


def _kind(asked: dict[str, Any]) -> Kind:
    kind = asked.get("type") or "model"
    if kind not in {"model", "dataset"}:
        raise Refusal(400, f"This Hub has no repos of the type {kind}")
    return "dataset" if kind == "dataset" else "model"
