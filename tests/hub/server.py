"""A small Hub on this machine: what the real client asks for when it reads a model."""

import hashlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class LocalHub:
    """Serves folders as model repos, one commit each.

    Attributes:
        repos: id -> folder.
        gated: ids that refuse everyone.
        failing: a status that every answer has instead, when set.
        requests: how often each kind of request came.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Path] = {}
        self.gated: set[str] = set()
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
        repo, _, rest = path.lstrip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        return self._file(repo, revision, name, body)

    def _api(self, path: str, body: bool) -> None:
        repo, _, rest = path.partition("/revision/")
        repo, _, tree = repo.partition("/tree/")
        if (refusal := self._refusal(repo, rest or tree.split("/")[0] or "main")) is not None:
            return self._send(*refusal, body)
        folder = self.hub.repos[repo]
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        siblings = [_sibling(folder, path) for path in files]
        if tree:
            return self._json([_entry(sibling) for sibling in siblings], body)
        return self._json({"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "tags": []}, body)

    def _file(self, repo: str, revision: str, name: str, body: bool) -> None:
        if (refusal := self._refusal(repo, revision)) is not None:
            return self._send(*refusal, body)
        path = self.hub.repos[repo] / name
        if not path.is_file():
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body)
        data = path.read_bytes()
        sibling = _sibling(self.hub.repos[repo], path)
        etag = sibling["lfs"]["sha256"] if "lfs" in sibling else sibling["blobId"]
        self._send(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, body)

    def _refusal(self, repo: str, revision: str) -> tuple[int, bytes, dict[str, str]] | None:
        if repo not in self.hub.repos:
            return 404, b"", {"X-Error-Code": "RepoNotFound"}
        if repo in self.hub.gated:
            return 403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to this model is restricted"}
        if revision not in {"main", COMMIT}:
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
    if path.suffix in {".safetensors", ".bin"}:
        entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry
