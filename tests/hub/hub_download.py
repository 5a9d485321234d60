"""The content of files: small ones from the Hub itself, large ones by a redirect to the storage."""

import re
from urllib.parse import quote

from hub_access import commit_of, entry_missing
from hub_repo import File
from hub_state import State
from hub_wire import Answer, Refusal, Request


class Downloads:
    """Answers HEAD and GET for files."""

    def __init__(self, state: State) -> None:
        self._state = state

    def resolve(self, request: Request) -> Answer:
        repo, _ = self._state.access.readable(request)
        commit = commit_of(repo, request.parts["rev"])
        path = request.parts["path"]
        if (file := commit.tree.get(path)) is None:
            raise entry_missing(commit, path)
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{file.sha256 if file.lfs else file.oid}"'}
        if not file.lfs:
            return self._content(request, file, path, headers)
        headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
        headers["Location"] = self._state.signed(self._state.storage_url, f"/_lfs/{file.sha256}/{path}")
        return Answer(302, f"Found. Redirecting to {headers['Location']}".encode(), headers)

    def is_redirected(self, request: Request) -> bool:
        """Whether the answer to a GET is only the way to the storage; it counts apart from the content."""
        kind = "dataset" if request.parts.get("kind") == "datasets" else "model"
        repo = self._state.store.get(kind, request.parts["repo"])
        commit = repo and repo.resolve(request.parts["rev"])
        file = commit and commit.tree.get(request.parts["path"])
        return bool(file and file.lfs)

    def storage(self, request: Request) -> Answer:
        """A large file, for whoever has the signed link."""
        self._state.check_signed(request)
        sha256 = request.parts["sha256"]
        if sha256 not in self._state.store.blobs:
            raise Refusal(404, "NoSuchKey")
        file = File(self._state.store.blobs.path(sha256).stat().st_size, "", sha256, True)
        return self._content(request, file, request.parts["path"], {"ETag": f'"{sha256}"'})

    def _content(self, request: Request, file: File, path: str, headers: dict[str, str]) -> Answer:
        name = quote(path.rsplit("/", 1)[-1])
        headers |= {
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"inline; filename*=UTF-8''{name}; filename=\"{name}\";",
        }
        place = self._state.store.blobs.path(file.sha256)
        part = _range(request.headers.get("Range"), file.size)
        if part is None:
            return Answer(200, b"", headers, (place, 0, file.size))
        start, end = part
        if start >= end:
            refusal = Refusal(416, "The range is outside the file.")
            refusal.headers = {"Content-Range": f"bytes */{file.size}"}
            raise refusal
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
        return Answer(206, b"", headers, (place, start, end - start))


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and end of the part that is asked for; None for the whole, also where the header is not understood."""
    match = re.fullmatch(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", header or "")
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return max(size - int(match[2]), 0), size
    return int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
