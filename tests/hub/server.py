"""A Hub on this machine, for the real and unmodified client.

In a test::

    with LocalHub() as hub:
        hub.add_user("alice", token="hf_alice", orgs=["acme"])
        hub.put("acme/tiny", {"config.json": b"{}"})
        HfApi(endpoint=hub.url, token="hf_alice").model_info("acme/tiny")

By hand, with a user ``alice`` whose token is ``hf_alice`` and who belongs to ``acme``::

    python tests/hub/server.py --port 8000 --storage /tmp/hub
    HF_ENDPOINT=http://127.0.0.1:8000 HF_HUB_DISABLE_XET=1 HF_TOKEN=hf_alice hf auth whoami

The client must have Xet switched off, for this Hub has none. Large files come from and go to a second port, the
storage, as with the real one: a client that sends its token there is refused and noted in ``hub.leaks``.

Faults and traffic call the routes by these words: whoami, create, delete, settings, info, list, tree, paths-info,
commits, refs, auth-check, validate, tag, branch, discussions, preupload, batch, put (to the storage), complete (of the
parts of a large file), verify, commit, copy, head, resolve (the content of a file, from the Hub or from the storage),
redirect (a GET that only leads to the storage), other. They are set in ``hub_routes``.
"""

import argparse
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hub_access import Access
from hub_content import Contents
from hub_faults import Fault, Faults, Ledger
from hub_listener import Listener
from hub_routes import Found, Routes
from hub_state import State
from hub_store import Store
from hub_users import Caller, Role, Users
from hub_wire import Handler, Request

__all__ = ["Fault", "LocalHub"]


class LocalHub(Contents):
    """A Hub with users, repos of models and data sets, and faults.

    Attributes:
        url: the endpoint for the client.
        state: settings that a test may change: ``copies``, ``part_size``, ``page_size``, ``shared_objects``.
        traffic: route -> requests and bytes of bodies; ``put`` has the bytes of large files that came in.
        seen: every request as (route, method, path); never a token.
        faults: what goes wrong next.
    """

    def __init__(self, storage: Path | None = None, port: int = 0, **settings: Any) -> None:
        """Starts serving.

        Args:
            storage: where everything is kept; what is there already is served. Without one, nothing outlives the Hub.
            port: of the Hub; 0 for any that is free.
            settings: see ``State``.
        """
        self._own = Path(tempfile.mkdtemp(prefix="local-hub-")) if storage is None else None
        super().__init__(Store(storage or self._own or Path()))
        self._users = Users()
        self.faults = Faults()
        self.traffic = Ledger()
        self.seen: list[tuple[str, str, str]] = []
        handler = type("BoundHandler", (Handler,), {"hub": self})
        self._listeners = [Listener(port, handler), Listener(0, handler)]
        self.url, storage_url = (listener.url for listener in self._listeners)
        # Another host name, as with the real Hub: the client follows redirects within a host and reads the last answer.
        storage_url = storage_url.replace("127.0.0.1", "localhost")
        self.state = State(self.store, Access(self.store, self._users), self.url, storage_url, **settings)
        self._routes = Routes(self.state)
        for listener in self._listeners:
            listener.start()

    def __enter__(self) -> "LocalHub":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends every connection; from then on nobody is answered."""
        for listener in self._listeners:
            listener.close()
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)

    def find(self, request: Request) -> Found:
        """What answers a request."""
        return self._routes.find(request)

    def add_user(
        self, name: str, token: str, role: Role = "write", orgs: Iterable[str] | Mapping[str, str] = (), **more: Any
    ) -> Caller:
        """Adds a token and its user; a user may have several.

        Args:
            name: the user.
            token: what the client sends.
            role: ``read``, ``write`` or ``fineGrained``.
            orgs: organisations, with the role ``write`` in each or the one given.
            more: of a fine-grained token: ``scopes``, ``everywhere``, ``reads_gated`` (see ``Caller``).
        """
        return self._users.add(token, name, role, orgs, **more)

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """What a client in a process of its own needs in its environment, with caches in a folder of its own."""
        wanted = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        inherited = {name: value for name, value in os.environ.items() if name not in {"HF_TOKEN", "HF_TOKEN_PATH"}}
        return inherited | wanted | ({"HF_TOKEN": token} if token else {})

    def fail(self, fault: Fault) -> Fault:
        """Adds a fault, which then knows its ``hits``; the first one that fits a request has it."""
        return self.faults.add(fault)

    def heal(self) -> None:
        """Takes all faults away."""
        self.faults.clear()

    def reset_traffic(self) -> None:
        self.traffic.clear()
        self.seen.clear()

    @property
    def leaks(self) -> list[str]:
        """Requests to the storage that carried a token; it must be empty."""
        return self.state.leaks


def main() -> None:
    parser = argparse.ArgumentParser(description="A Hub on this machine, to play with.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--storage", type=Path, required=True, help="folder in which everything is kept")
    arguments = parser.parse_args()
    with LocalHub(arguments.storage, arguments.port) as hub:
        hub.add_user("alice", token="hf_alice", orgs=["acme"])
        sys.stdout.write(f"HF_ENDPOINT={hub.url} HF_HUB_DISABLE_XET=1 HF_TOKEN=hf_alice\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
