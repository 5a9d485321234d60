"""What goes wrong on demand at the local Hub, and what went over the wire."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Fault:
    """One way in which requests of a route fail; the first fault that fits a request has it.

    Attributes:
        route: the short word of the route, or ``*`` for every one.
        status: the answer's status; a fault without one only delays or breaks the connection.
        times: how many requests it hits; None for all.
        skip: how many requests that fit pass before it begins.
        after: the work is done all the same, and then its answer is lost (or is ``status``).
        cut_after: the connection ends after so many bytes: of the answer's body to a GET, else of the request's.
        reset: a broken connection is reset instead of closed in order.
        delay: seconds before anything happens.
        retry_after: seconds the answer asks the client to wait.
        error_code, message: what the answer says in its headers and body.
        body, content_type: the body of an answer that is not a Hub's.
        location: where the answer leads.
        method: only requests of this method, such as ``GET``.
        path: only requests with this in their path.
        hits: how many requests it has hit.
    """

    route: str
    status: int | None = None
    times: int | None = 1
    skip: int = 0
    after: bool = False
    cut_after: int | None = None
    reset: bool = False
    delay: float = 0
    retry_after: int | None = None
    error_code: str | None = None
    message: str | None = None
    body: str | None = None
    content_type: str = "text/html"
    location: str | None = None
    method: str | None = None
    path: str | None = None
    hits: int = field(default=0, init=False)

    def fits(self, route: str, method: str, path: str) -> bool:
        wanted = (self.route in {"*", route}, self.method in {None, method}, (self.path or "") in path)
        return all(wanted) and (self.times is None or self.hits < self.times)


class Faults:
    """The faults of a Hub, asked by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def take(self, route: str, method: str, path: str) -> Fault | None:
        """The fault for a request, which counts as hit by it."""
        with self._lock:
            for fault in self._faults:
                if fault.fits(route, method, path):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.hits += 1
                    return fault
        return None


@dataclass
class Traffic:
    """The requests of a route and the bytes of their bodies, without headers."""

    requests: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class Ledger:
    """Traffic by route; a route that nobody asked for has none, and reading it does not add it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._routes: dict[str, Traffic] = {}

    def __getitem__(self, route: str) -> Traffic:
        return self._routes.get(route, Traffic())

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._routes))

    def __len__(self) -> int:
        return len(self._routes)

    def __repr__(self) -> str:
        return repr(self._routes)

    def count(self, route: str, **amounts: Any) -> None:
        with self._lock:
            entry = self._routes.setdefault(route, Traffic())
            for name, amount in amounts.items():
                setattr(entry, name, getattr(entry, name) + amount)

    def clear(self) -> None:
        with self._lock:
            self._routes.clear()
