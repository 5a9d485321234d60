"""Files of a Hub repo read where they are and not stored: pieces by range requests, which are counted, or streams."""

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_stream_backoff

from spin_hub.errors import HubSilent, RangesIgnored
from spin_hub.hub.client import a_model, typed

_AT_ONCE: Final = 8
_TRIES: Final = 5
_PIECE: Final = 1 << 20
# Seconds before a broken stream is resumed.
_PAUSE: Final = 1.0


class Ranges:
    """Reader of the files of a model repo at a commit.

    Attributes:
        requests, nbytes: requests so far, redirects included, and the bytes of the answers.
    """

    def __init__(self, repo_id: str, commit: str) -> None:
        self.repo_id, self.commit = repo_id, commit
        self.requests = self.nbytes = 0
        self._lock = threading.Lock()
        self._places: dict[str, str] = {}

    def read(self, name: str, spans: list[tuple[int, int]]) -> list[bytes]:
        """Read some spans of a file, several at a time.

        Raises:
            RangesIgnored: the endpoint sends whole files instead.
            AccessDenied, ModelNotFound, HubSilent: it sends nothing.
        """
        if not spans:
            return []
        with self._asking(name), ThreadPoolExecutor(min(_AT_ONCE, len(spans))) as pool:
            try:
                # The first one learns the address of the file's storage.
                first = self._read(name, *spans[0])
                return [first, *pool.map(lambda span: self._read(name, *span), spans[1:])]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def stream(self, name: str, size: int) -> Iterator[bytes]:
        """Yield the content of a file; a stream that breaks off is resumed at its end.

        Raises:
            AccessDenied, ModelNotFound, HubSilent: it cannot be had.
        """
        at, tries = 0, _TRIES
        with self._asking(name):
            while at < size:
                before = at
                try:
                    for piece in self._pieces(name, at):
                        at += len(piece)
                        yield piece
                except HfHubHTTPError:
                    raise
                except HTTPError:
                    if tries <= 1:
                        raise
                tries = _TRIES if at > before else tries - 1
                if at < size and not tries:
                    raise HubSilent(what=f"for {name} of {self.repo_id}", why=f"it ended after {at:,} bytes")
                if at < size:
                    time.sleep(_PAUSE)

    def _pieces(self, name: str, at: int) -> Iterator[bytes]:
        """Yield a file from an offset on; the stream may end early."""
        with self._get(self._url(name), {"Range": f"bytes={at}-"} if at else {}) as response:
            skip = at if response.status_code == 200 else 0
            for piece in response.iter_raw(_PIECE):
                self._count(0, len(piece))
                rest = piece[skip:] if skip else piece
                skip = max(skip - len(piece), 0)
                if rest:
                    yield rest

    def _read(self, name: str, start: int, end: int) -> bytes:
        for left in reversed(range(_TRIES)):
            place = self._places.get(name)
            try:
                return self._range(name, place or self._url(name), (start, end))
            except HfHubHTTPError as error:
                if place is None or error.response.status_code not in (401, 403, 404):
                    raise
                # A signed link that has run out.
                self._places.pop(name, None)
            except HTTPError:
                if not left:
                    raise
                time.sleep(_PAUSE)
        raise HubSilent(what=f"for {name} of {self.repo_id}", why="its links run out at once")

    def _range(self, name: str, url: str, span: tuple[int, int]) -> bytes:
        start, end = span
        with self._get(url, {"Range": f"bytes={start}-{end - 1}"}) as response:
            if response.status_code != 206 or not _begins_at(response.headers, start):
                raise RangesIgnored(repo_id=self.repo_id)
            data = bytearray()
            for piece in response.iter_raw():
                data += piece
                if len(data) >= end - start:
                    break
            self._count(0, len(data))
            if len(data) != end - start:
                raise HubSilent(what=f"for {name} of {self.repo_id}", why=f"it sent {len(data):,} bytes of a piece")
            self._places[name] = str(response.url)
            return bytes(data)

    @contextmanager
    def _get(self, url: str, headers: Mapping[str, str]) -> Iterator[Any]:
        # The token is for the Hub alone, not for the storage to which it leads.
        own = build_hf_headers() if url.startswith(f"{constants.ENDPOINT}/") else {}
        sent = {**own, "Accept-Encoding": "identity", **headers}
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        # Tried again by those who know how much has arrived; the client would begin anew.
        with http_stream_backoff("GET", url, headers=sent, timeout=timeout, retry_on_exceptions=()) as response:
            self._count(len(response.history) + 1, 0)
            hf_raise_for_status(response)
            yield response

    def _asking(self, name: str) -> AbstractContextManager[None]:
        return typed(a_model(self.repo_id), f"for {name} of {self.repo_id}")

    def _url(self, name: str) -> str:
        return str(hf_hub_url(self.repo_id, name, revision=self.commit))

    def _count(self, requests: int, nbytes: int) -> None:
        with self._lock:
            self.requests += requests
            self.nbytes += nbytes


def _begins_at(headers: Mapping[str, str], start: int) -> bool:
    return headers.get("Content-Range", "").replace(" ", "").startswith(f"bytes{start}-")
