"""A small Hub on this machine: what the real clients ask for when they read a model or a data set."""

import hashlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import yaml

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class LocalHub:
    """Serves folders as repos of models and data sets, one commit each.

    Attributes:
        repos: id -> folder; the ids of data sets begin with ``datasets/``.
        gated: ids that refuse everyone.
        commits: id -> its commit, where it is not COMMIT.
        failing: a status that every answer has instead, when set.
        requests: how often each kind of request came.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Path] = {}
        self.gated: set[str] = set()
        self.commits: dict[str, str] = {}
        self.failing: int | None = None
        self.requests: Counter[str] = Counter()
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, body: bool) -> None:
        path = unquote(urlparse(self.path).path)
        self.hub.requests[f"{self.command} {'api' if path.startswith('/api') else 'resolve'}"] += 1
        if self.hub.failing:
            return self._send(self.hub.failing, b"", {}, body)
        if path.startswith("/api/models/"):
            return self._api(path.removeprefix("/api/models/"), body)
        if path.startswith("/api/datasets/"):
            return self._dataset_api(path.removeprefix("/api/"), body)
        repo, _, rest = path.lstrip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        return self._file(repo, revision, name, body)

    def _api(self, path: str, body: bool) -> None:
        repo, _, rest = path.partition("/revision/")
        repo, _, tree = repo.partition("/tree/")
        if (refusal := self._refusal(repo, rest or tree.split("/")[0] or "main")) is not None:
            return self._send(*refusal, body)
        siblings = self._siblings(repo)
        if tree:
            return self._json([_entry(sibling) for sibling in siblings], body)
        return self._json({"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "tags": []}, body)

    def _dataset_api(self, path: str, body: bool) -> None:
        """Information, listings of folders, single paths, and whether the caller has access."""
        repo, verb, rest = _parts(path)
        revision, _, folder = rest.partition("/")
        # A gated data set's page is for everyone; its files, and the question for access, are not.
        open_page = verb in {"", "revision"}
        if (refusal := self._refusal(repo, revision or "main", open_page)) is not None:
            return self._send(*refusal, body)
        siblings = self._siblings(repo)
        if verb == "auth-check":
            return self._json({}, body)
        if verb == "tree":
            return self._listing(siblings, folder, body)
        if verb == "paths-info":
            asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["paths"]
            return self._json([_entry(entry) for entry in siblings if entry["rfilename"] in asked], body)
        gated = "manual" if repo in self.hub.gated else False
        info = {"id": repo.removeprefix("datasets/"), "sha": self._commit(repo), "gated": gated, "tags": []}
        return self._json({**info, "siblings": siblings, "cardData": _card(self.hub.repos[repo])}, body)

    def _listing(self, siblings: list[dict[str, Any]], folder: str, body: bool) -> None:
        """The files and folders directly in a folder, or with ``recursive`` all that are below it."""
        start = f"{folder}/" if folder else ""
        inside = {entry["rfilename"]: _entry(entry) for entry in siblings if entry["rfilename"].startswith(start)}
        if folder and not inside:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body)
        for parent in {parent.as_posix() for name in inside for parent in PurePosixPath(name).parents}:
            if parent != "." and len(parent) > len(folder):
                inside[parent] = {"type": "directory", "oid": "0" * 40, "path": parent, "size": 0}
        deep = parse_qs(urlparse(self.path).query).get("recursive", ["false"])[0].lower() == "true"
        shown = [entry for name, entry in sorted(inside.items()) if deep or "/" not in name.removeprefix(start)]
        return self._json(shown, body)

    def _siblings(self, repo: str) -> list[dict[str, Any]]:
        folder = self.hub.repos[repo]
        return [_sibling(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()]

    def _commit(self, repo: str) -> str:
        return self.hub.commits.get(repo, COMMIT)

    def _file(self, repo: str, revision: str, name: str, body: bool) -> None:
        if (refusal := self._refusal(repo, revision)) is not None:
            return self._send(*refusal, body)
        path = self.hub.repos[repo] / name
        commit = {"X-Repo-Commit": self._commit(repo)}
        if not path.is_file():
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound", **commit}, body)
        data = path.read_bytes()
        sibling = _sibling(self.hub.repos[repo], path)
        etag = sibling["lfs"]["sha256"] if "lfs" in sibling else sibling["blobId"]
        self._send(200, data, {"ETag": f'"{etag}"', **commit}, body)

    def _refusal(self, repo: str, revision: str, open_page: bool = False) -> tuple[int, bytes, dict[str, str]] | None:
        if repo not in self.hub.repos:
            return 404, b"", {"X-Error-Code": "RepoNotFound"}
        if repo in self.hub.gated and not open_page:
            return 403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to this repo is restricted"}
        if revision not in {"main", self._commit(repo)}:
            return 404, b"", {"X-Error-Code": "RevisionNotFound"}
        return None

    def _json(self, value: object, body: bool) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"}, body)

    def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


def _parts(path: str) -> tuple[str, str, str]:
    """A path of the API as ``datasets/org/name``, a verb and what follows it."""
    pieces = path.split("/")
    return "/".join(pieces[:3]), "".join(pieces[3:4]), "/".join(pieces[4:])


def _card(folder: Path) -> dict[str, Any]:
    path = folder / "README.md"
    return yaml.safe_load(path.read_text("utf-8").split("---")[1]) if path.is_file() else {}


def _entry(sibling: dict[str, Any]) -> dict[str, Any]:
    entry = {"type": "file", "oid": sibling["blobId"], "path": sibling["rfilename"], "size": sibling["size"]}
    if "lfs" in sibling:
        entry["lfs"] = {**sibling["lfs"], "oid": sibling["lfs"]["sha256"]}
    return entry


def _sibling(folder: Path, path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    entry: dict[str, Any] = {
        "rfilename": path.relative_to(folder).as_posix(),
        "size": len(data),
        "blobId": hashlib.sha1(data).hexdigest(),
    }
    if path.suffix in {".safetensors", ".bin", ".parquet"}:
        entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry
