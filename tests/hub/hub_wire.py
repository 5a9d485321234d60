"""Requests and answers on the wire: bodies in and out, faults, and the count of both."""

import contextlib
import json
import os
import socket
import struct
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hub_faults import Fault
from hub_store import BLOCK


class Refusal(Exception):
    """An answer that is no success; ``code`` is what the client tells its error classes apart by."""

    def __init__(self, status: int, message: str, code: str | None = None, **body: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body
        self.headers: dict[str, str] = {}

    def answer(self) -> "Answer":
        first = self.message.partition("\n")[0].encode("ascii", "replace").decode()
        named = {"X-Error-Code": self.code, "X-Error-Message": first}
        headers = {name: value for name, value in named.items() if value} | self.headers
        return json_answer({"error": self.message, **self.body}, self.status, headers)


@dataclass
class Answer:
    """What goes back; the body is in memory, or a part of a file."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    file: tuple[Path, int, int] | None = None

    @property
    def length(self) -> int:
        return self.file[2] if self.file else len(self.body)

    def blocks(self) -> Iterator[bytes]:
        if self.file is None:
            yield self.body
            return
        path, start, left = self.file
        with path.open("rb") as file:
            file.seek(start)
            while left and (block := file.read(min(BLOCK, left))):
                left -= len(block)
                yield block


def json_answer(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    body = json.dumps(value, default=str).encode()
    return Answer(status, body, {"Content-Type": "application/json; charset=utf-8", **(headers or {})})


class Body:
    """The body of a request as a stream, sent whole or in chunks; it knows how much of it was read."""

    def __init__(self, stream: BufferedIOBase, headers: Any) -> None:
        self.read = 0
        self.cut = False
        self._stream = stream
        self._chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        self._left = 0 if self._chunked else int(headers.get("Content-Length") or 0)
        self._ended = not self._chunked and not self._left

    def blocks(self, limit: int | None = None) -> Iterator[bytes]:
        """The rest of the body, or so many bytes of it; ``cut`` tells afterwards whether the sender stopped early."""
        while not self._ended and (limit is None or limit > 0):
            if not self._left and not self._next_chunk():
                return
            block = self._stream.read1(min(BLOCK, self._left, limit if limit is not None else BLOCK))
            if not block:
                self.cut = self._ended = True
                return
            self._left -= len(block)
            self.read += len(block)
            limit = None if limit is None else limit - len(block)
            self._ended = not self._left and not self._chunked
            yield block
            if self._chunked and not self._left:
                self._stream.readline()

    def _next_chunk(self) -> bool:
        line = self._stream.readline()
        self._left = int(line.split(b";")[0] or b"0", 16)
        if not self._left:
            self.cut = not line
            self._ended = True
            self._stream.readline()
        return bool(self._left)


@dataclass
class Request:
    """What a route is given; ``parts`` are the named pieces of the path, unquoted."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Any
    body: Body
    parts: dict[str, str] = field(default_factory=dict)

    def bytes(self) -> bytes:
        content = b"".join(self.body.blocks())
        if self.body.cut:
            raise Refusal(400, "The body of the request ended early.")
        return content

    def json(self) -> Any:
        try:
            return json.loads(self.bytes() or b"null")
        except ValueError:
            raise Refusal(400, "The body is no JSON.") from None

    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.bytes().decode())

    def option(self, name: str) -> str | None:
        return self.query.get(name, [None])[0]

    def flag(self, name: str) -> bool:
        return (self.option(name) or "").lower() in {"1", "true"}


class Handler(BaseHTTPRequestHandler):
    """Finds the route, applies the fault that waits for it, and counts."""

    hub: Any
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        request = Request(
            self.command, target.path, parse_qs(target.query), self.headers, Body(self.rfile, self.headers)
        )
        path = unquote(target.path)
        route, request.parts, work = self.hub.find(request)
        self.hub.seen.append((route, self.command, path))
        fault = self.hub.faults.take(route, self.command, path) or Fault("*")
        self.hub.traffic.count(route, requests=1)
        time.sleep(fault.delay)
        try:
            self._exchange(route, request, work, fault)
        except ConnectionError:
            self.close_connection = True  # the client has gone

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass

    def _exchange(self, route: str, request: Request, work: Callable[[Request], Answer], fault: Fault) -> None:
        sends = self.command not in {"GET", "HEAD"}
        if sends and fault.cut_after is not None:
            self._drain(route, request, fault.cut_after)
            return self._break(fault.reset)
        if fault.status is None or fault.after:
            answer = _answer(work, request)
        self._drain(route, request)
        if fault.status is not None:
            answer = _failure(fault)
        elif fault.after:
            return self._break(fault.reset)
        self._send(route, answer, fault)

    def _drain(self, route: str, request: Request, limit: int | None = None) -> None:
        """Reads what is left of a body, which would else be taken for the next request, and counts all of it."""
        for _ in request.body.blocks(limit):
            pass
        self.hub.traffic.count(route, bytes_in=request.body.read)

    def _send(self, route: str, answer: Answer, fault: Fault) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(answer.length), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        left = answer.length if fault.cut_after is None else min(fault.cut_after, answer.length)
        broken = left < answer.length
        for block in answer.blocks():
            part = block[:left]
            self.hub.traffic.count(route, bytes_out=len(part))
            self.wfile.write(part)
            left -= len(part)
        if broken:
            self._break(fault.reset)

    def _break(self, reset: bool) -> None:
        """Ends the connection: in order as a server that stops does, or with a reset as a network does."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
            if reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.connection.detach())


def _answer(work: Callable[[Request], Answer], request: Request) -> Answer:
    try:
        return work(request)
    except Refusal as refusal:
        return refusal.answer()
    except ConnectionError:
        raise
    except Exception:  # noqa: BLE001 - whatever is wrong with this server must reach the test as an answer
        traceback.print_exc()
        return Refusal(500, f"The local Hub is broken: {traceback.format_exc()}").answer()


def _failure(fault: Fault) -> Answer:
    if fault.body is not None or fault.location is not None:
        headers = {"Content-Type": fault.content_type, **({"Location": fault.location} if fault.location else {})}
        return Answer(fault.status or 200, (fault.body or "").encode(), headers)
    refusal = Refusal(fault.status or 0, fault.message or f"Made to fail with {fault.status}.", fault.error_code)
    if fault.retry_after is not None:
        refusal.headers["Retry-After"] = str(fault.retry_after)
    return refusal.answer()
