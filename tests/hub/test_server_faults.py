"""The faults of the local Hub, and what the real client makes of them."""

import os
import threading
import time

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
from server import Fault

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

WEIGHTS = os.urandom(300_000)


def push(api, **more):
    files = [CommitOperationAdd("model.safetensors", WEIGHTS), CommitOperationAdd("a.txt", b"a")]
    return api.create_commit("acme/tiny", files, commit_message="a push", **more)


def download(api, folder):
    with open(api.hf_hub_download("acme/tiny", "model.safetensors", cache_dir=folder), "rb") as file:  # noqa: PTH123
        return file.read()


@pytest.mark.parametrize("route", ["preupload", "batch", "put", "verify"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_the_client_tries_some_routes_again(hub, alice, naps, route, status):
    fault = hub.fail(Fault(route, status, times=2, retry_after=7 if status == 429 else None))
    push(alice)
    assert fault.hits == 2
    assert naps == ([8.0, 8.0] if status == 429 else [1.0, 2.0])
    assert hub.traffic[route].requests == 3
    assert hub.files("acme/tiny")["model.safetensors"] == WEIGHTS


@pytest.mark.parametrize("status", [403, 404, 412, 429, 500, 503])
def test_a_failed_commit_is_not_tried_again_and_leaves_nothing(hub, alice, naps, status):
    before = hub.sha("acme/tiny")
    hub.fail(Fault("commit", status, message="not today"))
    with pytest.raises(HfHubHTTPError, match="not today") as failed:
        push(alice)
    assert failed.value.response.status_code == status
    assert (hub.sha("acme/tiny"), hub.traffic["commit"].requests, naps) == (before, 1, [])
    hub.reset_traffic()
    push(alice)
    assert (hub.traffic["put"].requests, hub.traffic["commit"].requests) == (0, 1)


def test_a_lost_answer_hides_a_commit_that_was_made(hub, alice):
    hub.fail(Fault("commit", after=True))
    with pytest.raises(httpx2.RemoteProtocolError, match="disconnected"):
        push(alice)
    assert hub.commits("acme/tiny")[0].title == "a push"
    hub.fail(Fault("tag", 504, after=True))
    with pytest.raises(HfHubHTTPError):
        alice.create_tag("acme/tiny", tag="v1")
    assert hub.tags("acme/tiny") == {"v1": hub.sha("acme/tiny")}


@pytest.mark.parametrize("reset", [False, True])
def test_an_upload_that_is_cut_is_sent_again_and_nothing_half_is_kept(hub, alice, naps, reset):
    hub.fail(Fault("put", cut_after=100_000, reset=reset))
    push(alice)
    assert hub.traffic["put"].requests == 2
    assert hub.traffic["put"].bytes_in == 100_000 + len(WEIGHTS)
    assert hub.files("acme/tiny")["model.safetensors"] == WEIGHTS
    assert not list(hub.store.blobs.incoming.iterdir())
    assert naps == [1.0]


def test_a_part_that_fails_is_sent_again(hub, alice, naps):
    hub.state.part_size = 100_000
    hub.fail(Fault("put", 500, skip=1))
    push(alice)
    assert hub.traffic["put"].requests == 4
    assert hub.files("acme/tiny")["model.safetensors"] == WEIGHTS
    assert naps == [1.0]


def test_an_upload_that_keeps_failing_ends_the_push(hub, alice, naps):
    fault = hub.fail(Fault("put", 500, times=None))
    with pytest.raises(RuntimeError, match="Error while uploading 'model.safetensors'"):
        push(alice)
    assert fault.hits == 6
    assert naps == [1.0, 2.0, 4.0, 8.0, 8.0]
    hub.heal()
    push(alice)


def test_a_download_that_is_cut_in_order_is_resumed(hub, alice, naps, tmp_path):
    hub.put("acme/tiny", {"model.safetensors": WEIGHTS})
    hub.fail(Fault("resolve", cut_after=100_000))
    assert download(alice, tmp_path) == WEIGHTS
    assert hub.traffic["resolve"].requests == 2
    assert naps == [1]


def test_a_download_whose_connection_is_reset_fails(hub, alice, tmp_path):
    hub.put("acme/tiny", {"model.safetensors": WEIGHTS})
    hub.fail(Fault("resolve", cut_after=100_000, reset=True, path="model.safetensors"))
    with pytest.raises(httpx2.ReadError):
        download(alice, tmp_path)
    assert download(alice, tmp_path) == WEIGHTS


def test_answers_to_head_decide_what_the_client_says(hub, alice, naps, tmp_path):
    hub.put("acme/tiny", {"model.safetensors": WEIGHTS})
    for code, status, error in (("GatedRepo", 403, GatedRepoError), ("RepoNotFound", 404, RepositoryNotFoundError)):
        hub.fail(Fault("head", status, error_code=code))
        with pytest.raises(error):
            download(alice, tmp_path)
    # With nothing in its cache the client asks again, and at last says that it has nothing.
    failing = hub.fail(Fault("head", 503, times=None))
    with pytest.raises(LocalEntryNotFoundError):
        download(alice, tmp_path)
    assert (failing.hits, naps) == (7, [1.0, 2.0, 4.0, 8.0, 8.0])
    hub.heal()
    assert download(alice, tmp_path) == WEIGHTS
    # With the file there it is content with the cache, and does not say so.
    failing = hub.fail(Fault("head", 500, times=None))
    assert download(alice, tmp_path) == WEIGHTS
    assert failing.hits == 1


def test_faults_wait_for_their_route_method_and_path(hub, alice):
    alice.create_repo("acme/other")
    fault = hub.fail(Fault("info", 500, method="GET", path="acme/other"))
    alice.model_info("acme/tiny")
    assert fault.hits == 0
    with pytest.raises(HfHubHTTPError):
        alice.model_info("acme/other")
    alice.model_info("acme/other")
    hub.fail(Fault("*", 401, message="Invalid credentials in Authorization header", times=None))
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        alice.whoami()
    hub.heal()
    alice.whoami()


def test_every_route_has_its_word(hub, alice, tmp_path):
    hub.state.copies = True
    hub.put("acme/tiny", {"model.safetensors": WEIGHTS})
    routes = {
        "whoami": alice.whoami,
        "create": lambda: alice.create_repo("acme/new"),
        "info": lambda: alice.model_info("acme/tiny"),
        "tree": lambda: list(alice.list_repo_tree("acme/tiny")),
        "paths-info": lambda: alice.get_paths_info("acme/tiny", ["a.txt"]),
        "refs": lambda: alice.list_repo_refs("acme/tiny"),
        "commits": lambda: alice.list_repo_commits("acme/tiny"),
        "list": lambda: list(alice.list_models()),
        "auth-check": lambda: alice.auth_check("acme/tiny"),
        "tag": lambda: alice.create_tag("acme/tiny", tag="v1"),
        "branch": lambda: alice.create_branch("acme/tiny", branch="dev"),
        "settings": lambda: alice.update_repo_settings("acme/tiny", private=True),
        "discussions": lambda: list(alice.get_repo_discussions("acme/tiny")),
        "delete": lambda: alice.delete_repo("acme/tiny"),
    }
    for word, ask in routes.items():
        hub.reset_traffic()
        hub.fail(Fault(word, 418))
        with pytest.raises(HfHubHTTPError) as failed:
            ask()
        assert failed.value.response.status_code == 418, word
        ask()
        assert [entry[0] for entry in hub.seen] == [word, word]


def test_a_slow_answer_runs_into_the_time_limit(hub, alice):
    hub.fail(Fault("info", delay=0.5))
    begun = time.monotonic()
    with pytest.raises(httpx2.TimeoutException):
        alice.model_info("acme/tiny", timeout=0.1)
    assert time.monotonic() - begun < 0.45
    hub.fail(Fault("info", delay=0.2))
    assert alice.model_info("acme/tiny").id == "acme/tiny"


def test_two_pushes_at_once_are_both_made(hub, alice):
    hub.fail(Fault("commit", delay=0.2, times=2))
    errors = []

    def one(name: str) -> None:
        try:
            alice.create_commit("acme/tiny", [CommitOperationAdd(name, name.encode())], commit_message=name)
        except HfHubHTTPError as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(f"{number}.txt",)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert {"0.txt", "1.txt"} < set(hub.files("acme/tiny"))
