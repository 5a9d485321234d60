"""The read-only pages of the API: a repo's information, trees, commits and references, and the lists of repos."""

from pathlib import PurePosixPath
from typing import Any

from hub_access import commit_of, entry_missing
from hub_cards import describe
from hub_repo import Commit, File, Kind, Repo, pointer
from hub_state import State
from hub_wire import Answer, Refusal, Request, json_answer

_LISTED = ("_id", "id", "modelId", "likes", "private", "downloads", "tags", "pipeline_tag", "library_name", "createdAt")
_FULL = ("author", "sha", "lastModified", "gated", "disabled", "siblings")


class Pages:
    """Answers what the Hub says of its repos."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._described: dict[tuple[str, str], dict[str, Any]] = {}

    def whoami(self, request: Request) -> Answer:
        return json_answer(self._state.access.user(request).whoami())

    def auth_check(self, request: Request) -> Answer:
        access = self._state.access
        _ = access.writable(request) if request.parts.get("write") else access.readable(request)
        return json_answer({})

    def info(self, request: Request) -> Answer:
        repo, _ = self._state.access.repo(request)
        commit = commit_of(repo, request.parts.get("rev") or "main")
        return json_answer(self._info(repo, commit) | {"siblings": _siblings(commit, request.flag("blobs"))})

    def list(self, request: Request) -> Answer:
        caller = self._state.access.caller(request)
        kind: Kind = "dataset" if request.parts["kind"] == "datasets" else "model"
        rows = [
            self._info(repo, head) | {"siblings": _siblings(head, blobs=False)}
            for repo in self._state.store.repos(kind)
            if caller.may_see(repo) and (head := repo.resolve("main"))
        ]
        wanted = [tag for value in request.query.get("filter", []) for tag in value.split(",")]
        author, search = request.option("author"), (request.option("search") or "").lower()
        rows = [row for row in rows if set(wanted) <= set(row["tags"]) and search in row["id"].lower()]
        rows = [row for row in rows if author in {None, row["author"]}]
        if (key := request.option("sort")) in {"lastModified", "createdAt", "downloads", "likes"}:
            rows.sort(key=lambda row: row[key], reverse=True)
        if pipeline := request.option("pipeline_tag"):
            rows = [row for row in rows if row["pipeline_tag"] == pipeline]
        page, headers = self._state.page(rows, request)
        return json_answer([_shown(row, request, kind) for row in page], headers=headers)

    def tree(self, request: Request) -> Answer:
        """The files and folders directly in a folder, or with ``recursive`` all that are below it."""
        repo, _ = self._state.access.repo(request)
        commit = commit_of(repo, request.parts["rev"])
        folder = (request.parts.get("path") or "").strip("/")
        start = f"{folder}/" if folder else ""
        paths = {name for name in [*commit.tree, *_folders(commit)] if name.startswith(start) and name != start}
        if folder and not paths:
            raise entry_missing(commit, folder)
        deep = request.flag("recursive")
        shown = sorted(path for path in paths if deep or "/" not in path.removeprefix(start))
        page, headers = self._state.page(shown, request)
        expand = request.flag("expand")
        return json_answer([self._entry(repo, commit, path, expand) for path in page], headers=headers)

    def paths_info(self, request: Request) -> Answer:
        repo, _ = self._state.access.repo(request)
        commit = commit_of(repo, request.parts["rev"])
        asked = request.form() if "json" not in request.headers.get("Content-Type", "") else request.json()
        known = {*commit.tree, *_folders(commit)}
        paths = [path.strip("/") for path in asked.get("paths", [])]
        expand = str(asked.get("expand", ["false"])).lower().strip("[]'") == "true"
        return json_answer([self._entry(repo, commit, path, expand) for path in paths if path in known])

    def commits(self, request: Request) -> Answer:
        repo, _ = self._state.access.repo(request)
        history = list(repo.history(commit_of(repo, request.parts["rev"])))
        page, headers = self._state.page(history, request)
        rows = [
            {
                "id": commit.oid, "title": commit.title, "message": commit.message, "date": commit.date,
                "authors": [{"user": commit.author, "avatar": ""}],
            }
            for commit in page
        ]  # fmt: skip
        if "expand[]" in request.query:
            rows = [row | {"formatted": {"title": row["title"], "message": row["message"]}} for row in rows]
        return json_answer(rows, headers=headers)

    def refs(self, request: Request) -> Answer:
        repo, _ = self._state.access.repo(request)

        def named(start: str) -> list[dict[str, str]]:
            return [
                {"name": ref.removeprefix(start), "ref": ref, "targetCommit": oid}
                for ref, oid in list(repo.refs.items())
                if ref.startswith(start)
            ]

        answer: dict[str, Any] = {"branches": named("refs/heads/"), "tags": named("refs/tags/"), "converts": []}
        if request.flag("include_prs"):
            answer["pullRequests"] = named("refs/pr/")
        return json_answer(answer)

    def missing(self, request: Request) -> Answer:
        """A path that the Hub has no page for."""
        self._state.access.caller(request)
        raise Refusal(404, f"Nothing answers {request.method} {request.path}", "RepoNotFound")

    def _info(self, repo: Repo, commit: Commit) -> dict[str, Any]:
        def read(name: str) -> bytes:
            return self._state.store.blobs.read(commit.tree[name].sha256)

        if (key := (repo.page, commit.oid)) not in self._described:
            self._described[key] = describe(commit.tree, read)
        answer = {
            "_id": f"{repo.page}#id", "id": repo.id, "author": repo.namespace, "sha": commit.oid,
            "lastModified": commit.date, "createdAt": repo.created, "private": repo.private, "gated": repo.gated,
            "disabled": False, "downloads": 0, "likes": 0,
            "usedStorage": sum({file.sha256: file.size for file in commit.tree.values()}.values()),
            **self._described[key],
        }  # fmt: skip
        return answer | ({"modelId": repo.id} if repo.kind == "model" else {})

    def _entry(self, repo: Repo, commit: Commit, path: str, expand: bool) -> dict[str, Any]:
        last = {"lastCommit": _last_change(repo, commit, path)} if expand else {}
        if (file := commit.tree.get(path)) is None:
            return {"type": "directory", "oid": "0" * 40, "size": 0, "path": path, **last}
        entry: dict[str, Any] = {"type": "file", "oid": file.oid, "size": file.size, "path": path, **last}
        if file.lfs:
            entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": _pointer_size(file)}
            if self._state.copies:
                entry["xetHash"] = file.sha256[::-1]
        return entry


def _shown(row: dict[str, Any], request: Request, kind: Kind) -> dict[str, Any]:
    """What a list tells of a repo: less than its page, unless it is asked for."""
    if "expand" in request.query:
        return {key: row[key] for key in ["_id", "id", *request.query["expand"]] if key in row}
    shown = set(_LISTED if kind == "model" else (*_LISTED, *_FULL))
    shown |= set(_FULL) if request.flag("full") else set()
    shown |= {"cardData"} if request.flag("cardData") or (kind == "dataset" and request.flag("full")) else set()
    return {key: value for key, value in row.items() if key in shown}


def _siblings(commit: Commit, blobs: bool) -> list[dict[str, Any]]:
    if not blobs:
        return [{"rfilename": name} for name in commit.tree]
    rows = []
    for name, file in commit.tree.items():
        row: dict[str, Any] = {"rfilename": name, "size": file.size, "blobId": file.oid}
        if file.lfs:
            row["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": _pointer_size(file)}
        rows.append(row)
    return rows


def _pointer_size(file: File) -> int:
    return len(pointer(file.sha256, file.size))


def _folders(commit: Commit) -> set[str]:
    return {parent.as_posix() for name in commit.tree for parent in PurePosixPath(name).parents} - {"."}


def _last_change(repo: Repo, commit: Commit, path: str) -> dict[str, str]:
    def content(step: Commit) -> list[tuple[str, File]]:
        return [(name, file) for name, file in step.tree.items() if name == path or name.startswith(f"{path}/")]

    found = commit
    for step in repo.history(commit):
        if content(step) != content(commit):
            break
        found = step
    return {"id": found.oid, "title": found.title, "date": found.date}
