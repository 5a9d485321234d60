"""A local Hub for each test, and the real client let loose on it within the test's own process."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pushing
import pytest
import server
import stocking
from huggingface_hub import HfApi, close_session, constants

TOKENS = {"alice": "hf_alice", "bob": "hf_bob", "carol": "hf_carol"}


@pytest.fixture
def hub() -> Iterator[server.LocalHub]:
    with server.LocalHub() as running:
        yield running


@pytest.fixture
def client(hub: server.LocalHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str | None], HfApi]]:
    """Gives the client of a user: alice writes for acme, bob for himself, carol's token only reads."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    hub.add_user("alice", TOKENS["alice"], orgs=["acme"])
    hub.add_user("bob", TOKENS["bob"])
    hub.add_user("carol", TOKENS["carol"], "read", orgs=["acme"])
    yield lambda name=None: HfApi(endpoint=hub.url, token=TOKENS.get(name or "", name or False))
    close_session()


@pytest.fixture
def alice(client: Callable[[str | None], HfApi]) -> HfApi:
    """The client of alice, who has made the repo ``acme/tiny``."""
    api = client("alice")
    api.create_repo("acme/tiny")
    return api


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the client wanted to wait before it tried again; it does not wait."""
    seconds: list[float] = []
    patched = SimpleNamespace(**{**vars(time), "sleep": seconds.append})
    monkeypatch.setattr("huggingface_hub.utils._http.time", patched)
    monkeypatch.setattr("huggingface_hub.file_download.time", patched)
    monkeypatch.setattr("spin_hub.hub.client.time", patched)
    return seconds


@pytest.fixture
def visitor(hub: server.LocalHub, tmp_path: Path, naps: list[float]) -> pushing.Desk:
    """A person's machine before an empty Hub."""
    return pushing.Desk(hub, tmp_path)


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory, tiny: Path, sharded: Path) -> stocking.Stock:
    """A Hub's storage with two bases, and edits of them; made once and never changed."""
    return stocking.made(tmp_path_factory.mktemp("stock"), tiny, sharded)


@pytest.fixture
def desk(stock: stocking.Stock, tmp_path: Path, naps: list[float]) -> Iterator[pushing.Desk]:
    """A person before a stocked Hub of their own; afterwards no token may be found anywhere."""
    shutil.copytree(stock.storage, tmp_path / "storage")
    with stocking.stocked(tmp_path / "storage") as hub:
        desk = pushing.Desk(hub, tmp_path)
        yield desk
        assert not hub.leaks
        assert not desk.places_of_tokens()
