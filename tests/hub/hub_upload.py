"""Large files on their way in: what to send, where to, and whether it arrived."""

import hashlib
import math
from pathlib import Path
from typing import Any

from hub_access import commit_of, forbidden
from hub_modes import ATTRIBUTES, decoded, fits, ignore_patterns, is_large, large_patterns
from hub_repo import Kind, Repo
from hub_state import State
from hub_wire import Answer, Refusal, Request, json_answer


class Uploads:
    """Answers preupload, the LFS batch, the storage's PUT, and copies between repos."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._parts: dict[tuple[str, str], dict[int, Path]] = {}

    def preupload(self, request: Request) -> Answer:
        """Says of each file how it is to be sent, and which content is there already under its name."""
        revision = request.parts["rev"]
        proposes = request.flag("create_pr") or revision.startswith("refs/pr/")
        repo, _ = self._state.access.proposable(request) if proposes else self._state.access.writable(request)
        head = commit_of(repo, revision)
        asked = request.json()

        def content(name: str, otherwise: bytes) -> bytes:
            return self._state.store.blobs.read(head.tree[name].sha256) if name in head.tree else otherwise

        patterns = large_patterns(content(".gitattributes", ATTRIBUTES[repo.kind]))
        ignored = ignore_patterns(asked.get("gitIgnore") or content(".gitignore", b"").decode())
        rows = []
        for file in asked["files"]:
            path = file["path"]
            large = is_large(path, file["size"], decoded(file["sample"]), patterns)
            row = {
                "path": path,
                "uploadMode": "lfs" if large else "regular",
                "shouldIgnore": fits(path, ignored),
            }
            if (known := head.tree.get(path)) is not None:
                row["oid"] = known.sha256 if known.lfs else known.oid
            rows.append(row)
        return json_answer({"files": rows, "commitOid": head.oid})

    def batch(self, request: Request) -> Answer:
        """Says where to send each large file; those that the repo has need no sending."""
        repo, caller = self._state.access.proposable(request)
        asked = request.json()
        ref = (asked.get("ref") or {}).get("name", "")
        if ref and not ref.startswith("refs/pr/") and not caller.may_write(repo):
            raise forbidden(caller)
        rows = []
        for wanted in asked["objects"]:
            row = {"oid": wanted["oid"], "size": wanted["size"], "authenticated": True}
            if not self._has(repo, wanted["oid"]):
                row["actions"] = self._actions(repo, wanted["oid"], wanted["size"], asked.get("transfers", []))
            rows.append(row)
        return json_answer({"transfer": "basic", "objects": rows})

    def put(self, request: Request) -> Answer:
        """Receives a large file or a part of one; nothing is kept of what does not arrive whole."""
        options = self._state.check_signed(request)
        draft = self._state.store.blobs.draft()
        digest, etag = hashlib.sha256(), hashlib.md5()
        try:
            with draft.open("wb") as file:
                for block in request.body.blocks():
                    file.write(block)
                    digest.update(block)
                    etag.update(block)
        except ConnectionError:
            draft.unlink()
            raise
        oid = request.parts["sha256"]
        if request.body.cut or draft.stat().st_size != int(options["size"]):
            draft.unlink()
            raise Refusal(400, "IncompleteBody")
        if "part" in options:
            with self._state.store.lock:
                self._parts.setdefault((options["repo"], oid), {})[int(options["part"])] = draft
        elif digest.hexdigest() != oid:
            draft.unlink()
            raise Refusal(400, "BadDigest")
        else:
            self._keep(options["repo"], oid, draft)
        return Answer(200, b"", {"ETag": f'"{etag.hexdigest()}"'})

    def complete(self, request: Request) -> Answer:
        """Joins the parts of a large file."""
        options = self._state.check_signed(request)
        asked = request.json()
        with self._state.store.lock:
            parts = self._parts.pop((options["repo"], asked["oid"]), {})
        if [part["partNumber"] for part in asked["parts"]] != sorted(parts) or len(parts) != int(options["count"]):
            raise Refusal(400, "InvalidPart")
        draft = self._state.store.blobs.draft()
        with draft.open("wb") as file:
            for _, part in sorted(parts.items()):
                file.write(part.read_bytes())
                part.unlink()
        with draft.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != asked["oid"]:
                raise Refusal(400, "BadDigest")
        self._keep(options["repo"], asked["oid"], draft)
        return json_answer({"oid": asked["oid"]})

    def verify(self, request: Request) -> Answer:
        repo, _ = self._state.access.proposable(request)
        asked = request.json()
        if repo.objects.get(asked["oid"]) != asked["size"]:
            raise Refusal(404, "The object was not uploaded.")
        return json_answer({})

    def copy(self, request: Request) -> Answer:
        """Lets another repo have large files of this one; what cannot be had is named in ``failed``."""
        source, caller = self._state.access.readable(request)
        asked = request.json()
        kind: Kind = asked["target"]["type"]
        target = self._state.access.visible(kind, asked["target"]["name"], caller)
        if not caller.may_write(target):
            raise forbidden(caller)
        failed = []
        for file in asked["files"]:
            size = source.objects.get(file["sha256"])
            if size is None or self._state.copies is not True:
                why = "File not found" if size is None else "Source and target are in different storage regions"
                failed.append({"sha256": file["sha256"], "error": why})
                continue
            with self._state.store.lock:
                target.objects[file["sha256"]] = size
                self._state.store.save(target)
        return json_answer({"succeeded": len(asked["files"]) - len(failed), "failed": failed})

    def _has(self, repo: Repo, oid: str) -> bool:
        return oid in repo.objects or (self._state.shared_objects and oid in self._state.store.blobs)

    def _actions(self, repo: Repo, oid: str, size: int, transfers: list[str]) -> dict[str, Any]:
        part = self._state.part_size
        place, name = f"/_lfs/upload/{oid}", repo.page
        verify = {"href": f"{self._state.url}/{name}.git/info/lfs/verify"}
        if part is None or size <= part or "multipart" not in transfers:
            href = self._state.signed(self._state.storage_url, place, repo=name, size=size)
            return {"upload": {"href": href}, "verify": verify}
        count = math.ceil(size / part)
        header = {"chunk_size": str(part)}
        for number in range(1, count + 1):
            length = min(part, size - part * (number - 1))
            header[str(number)] = self._state.signed(
                self._state.storage_url, place, repo=name, size=length, part=number
            )
        href = self._state.signed(self._state.url, "/api/complete_multipart", repo=name, count=count)
        return {"upload": {"href": href, "header": header}, "verify": verify}

    def _keep(self, page: str, oid: str, draft: Path) -> None:
        size = draft.stat().st_size
        self._state.store.blobs.adopt(draft, oid)
        kind: Kind = "dataset" if page.startswith("datasets/") else "model"
        with self._state.store.lock:
            if (repo := self._state.store.get(kind, page.removeprefix("datasets/"))) is not None:
                repo.objects[oid] = size
                self._state.store.save(repo)
