"""The contract of the local Hub: what the tests of the product rely on, asked by the real client."""

import hashlib
import os
import threading

import httpx2
import pytest
import server
from hub_validation import EMPTY, validate
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, snapshot_download
from huggingface_hub.errors import (
    BadRequestError,
    FileDuplicationError,
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session
from server import Fault

# The client sends files to the storage by a parameter that its own HTTP library has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

WEIGHTS = os.urandom(300_000)
CARD = b"---\nlicense: mit\nbase_model: org/base\n---\nA model.\n"


def push(api, *operations, repo="acme/tiny", message="a push", **files):
    additions = [CommitOperationAdd(name.replace("__", "."), content) for name, content in files.items()]
    return api.create_commit(repo, [*operations, *additions], commit_message=message)


def status(call, *arguments, **options):
    with pytest.raises(HfHubHTTPError) as failed:
        call(*arguments, **options)
    return failed.value.response.status_code


def test_tokens_have_accounts_and_rights(hub, client):
    scopes = {"acme/open": ("repo.write",), "alice": ("repo.content.read",)}
    hub.add_user("alice", "hf_fine", "fineGrained", {"acme": "admin"}, scopes=scopes, everywhere=("discussion.write",))
    hub.put("acme/open", {"a.txt": "a"})
    account = client("alice").whoami()
    assert (account["name"], account["auth"]["accessToken"]["role"]) == ("alice", "write")
    assert [(org["name"], org["roleInOrg"]) for org in account["orgs"]] == [("acme", "write")]
    fine = client("hf_fine").whoami()["auth"]["accessToken"]["fineGrained"]
    assert fine["global"] == ["discussion.write"]
    assert [scope["entity"]["name"] for scope in fine["scoped"]] == ["acme/open", "alice"]
    assert status(client("hf_nobody").whoami) == 401
    client("hf_fine").auth_check("acme/open", write=True)
    assert status(client("hf_fine").create_repo, "alice/new") == 403
    assert {name: status(push, client(name), repo="acme/open", a__txt=b"b") for name in ("bob", "carol", None)} == {
        "bob": 403, "carol": 403, None: 401,
    }  # fmt: skip


def test_repos_are_created_moved_and_kept(tmp_path, client):
    with server.LocalHub(tmp_path / "kept") as first:
        commit = first.put("acme/tiny", {"model.safetensors": WEIGHTS}, private=True)
        first.move("acme/tiny", "acme/new")
    with server.LocalHub(tmp_path / "kept") as second:
        assert (second.sha("acme/new"), second.repo("acme/new").private) == (commit, True)
        assert second.files("acme/new") == {"model.safetensors": WEIGHTS}


def test_a_push_is_one_commit_and_sends_large_files_once(hub, alice):
    made = push(alice, README__md=CARD, model__safetensors=WEIGHTS)
    assert made.oid == hub.sha("acme/tiny")
    assert [commit.title for commit in hub.commits("acme/tiny")] == ["a push", "initial commit"]
    assert hub.files("acme/tiny")["model.safetensors"] == WEIGHTS
    assert hub.traffic["put"].bytes_in == len(WEIGHTS)
    hub.reset_traffic()
    push(alice, CommitOperationDelete("README.md"), copy__safetensors=WEIGHTS)
    assert set(hub.files("acme/tiny")) == {".gitattributes", "model.safetensors", "copy.safetensors"}
    assert hub.traffic["put"].bytes_in == 0
    hub.state.part_size = 100_000
    push(alice, model__safetensors=WEIGHTS + b"end")
    assert (hub.traffic["put"].requests, hub.traffic["complete"].requests) == (4, 1)
    assert hub.files("acme/tiny")["model.safetensors"] == WEIGHTS + b"end"
    assert not hub.leaks


def test_of_many_commits_on_one_parent_one_is_made(hub, alice):
    parent, outcomes = hub.sha("acme/tiny"), []

    def one(number: int) -> None:
        try:
            file = CommitOperationAdd(f"{number}.txt", b"x")
            outcomes.append(alice.create_commit("acme/tiny", [file], commit_message="one", parent_commit=parent).oid)
        except HfHubHTTPError as error:
            outcomes.append(error.response.status_code)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(412) == 3
    assert len(hub.commits("acme/tiny")) == 2


def test_pull_requests_branches_and_tags(hub, client, alice):
    first, bob = hub.sha("acme/tiny"), client("bob")
    files = [CommitOperationAdd("b.txt", b"b")]
    opened = bob.create_commit("acme/tiny", files, commit_message="mine", create_pr=True)
    assert (opened.pr_revision, opened.pr_url) == ("refs/pr/1", f"{hub.url}/acme/tiny/discussions/1")
    assert hub.sha("acme/tiny") == first
    assert [pull.title for pull in bob.get_repo_discussions("acme/tiny", discussion_status="open")] == ["mine"]
    alice.create_tag("acme/tiny", tag="v1")
    assert status(alice.create_tag, "acme/tiny", tag="v1") == 409
    alice.create_branch("acme/tiny", branch="dev", revision="v1")
    refs = alice.list_repo_refs("acme/tiny")
    assert ([ref.name for ref in refs.branches], [ref.name for ref in refs.tags]) == (["main", "dev"], ["v1"])


def test_large_files_are_copied_between_repos_where_the_hub_can(hub, alice):
    hub.put("org/base", {"model.safetensors": WEIGHTS})
    copy = CommitOperationCopy("model.safetensors", "model.safetensors", "main", "org/base", "model")
    for setting, error in ((False, ValueError), ("fails", FileDuplicationError)):
        hub.state.copies = setting
        with pytest.raises(error):
            push(alice, copy)
    hub.state.copies = True
    push(alice, copy)
    assert hub.files("acme/tiny")["model.safetensors"] == WEIGHTS
    assert not hub.traffic["put"].requests


def test_files_are_read_whole_and_in_pieces_and_no_token_reaches_the_storage(hub, client, tmp_path):
    commit = hub.put("org/tiny", {"model.safetensors": WEIGHTS, "a/b.txt": b"b"})
    folder = snapshot_download("org/tiny", cache_dir=tmp_path, endpoint=hub.url, token="hf_alice")
    assert folder.endswith(commit)
    assert hub.traffic["resolve"].bytes_out == len(WEIGHTS) + 1
    url = f"{hub.url}/org/tiny/resolve/main/model.safetensors"
    part = get_session().get(url, headers={"Range": "bytes=10-19", "Authorization": "Bearer hf_alice"})
    assert (part.status_code, part.content) == (206, WEIGHTS[10:20])
    info = client().model_info("org/tiny", files_metadata=True)
    sums = {entry.rfilename: entry.lfs.sha256 for entry in info.siblings if entry.lfs}
    assert sums == {"model.safetensors": hashlib.sha256(WEIGHTS).hexdigest()}
    assert not hub.leaks
    get_session().get(str(part.url), headers={"Authorization": "Bearer hf_alice"})
    assert len(hub.leaks) == 1


def test_what_cannot_be_read_is_told_apart(hub, client, tmp_path):
    hub.put("org/tiny", {"a.txt": b"a"})
    hub.put("org/closed", {"a.bin": b"\0"}, gated=True)
    hub.put("acme/secret", {"a.bin": b"\0"}, private=True)

    def fetch(name, repo_id, file="a.bin", **options):
        return client(name).hf_hub_download(repo_id, file, cache_dir=tmp_path, **options)

    for name in (None, "bob"):
        with pytest.raises(GatedRepoError):
            fetch(name, "org/closed")
        for repo_id in ("acme/secret", "org/nothing"):
            with pytest.raises(RepositoryNotFoundError):
                fetch(name, repo_id)
    with pytest.raises(RevisionNotFoundError):
        fetch(None, "org/tiny", "a.txt", revision="v9")
    with pytest.raises(RemoteEntryNotFoundError):
        fetch(None, "org/tiny", "b.txt")
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as invalid:
        client("hf_wrong").model_info("org/tiny")
    assert not isinstance(invalid.value, RepositoryNotFoundError)
    hub.grant("bob", "org/closed")
    assert fetch("bob", "org/closed") and fetch("carol", "acme/secret")
    hub.move("org/tiny", "org/new")
    assert client("alice").model_info("org/tiny").id == "org/new"


def test_faults_break_what_they_name_and_nothing_else(hub, alice, naps):
    before = hub.sha("acme/tiny")
    again = hub.fail(Fault("put", 503, times=2))
    limit = hub.fail(Fault("batch", 429, retry_after=7))
    cut = hub.fail(Fault("put", cut_after=100_000, reset=True))
    refused = hub.fail(Fault("commit", 403, message="not today"))
    with pytest.raises(HfHubHTTPError, match="not today"):
        push(alice, model__safetensors=WEIGHTS)
    assert [fault.hits for fault in (again, limit, cut, refused)] == [2, 1, 1, 1]
    assert naps == [8.0, 1.0, 2.0, 4.0]
    assert hub.sha("acme/tiny") == before
    hub.fail(Fault("commit", after=True))
    with pytest.raises(httpx2.RemoteProtocolError):
        push(alice, model__safetensors=WEIGHTS)
    assert hub.sha("acme/tiny") != before
    hub.fail(Fault("info", times=None, cut_after=0))
    with pytest.raises(httpx2.HTTPError):
        alice.model_info("acme/tiny")
    hub.heal()
    assert alice.model_info("acme/tiny").sha == hub.sha("acme/tiny")


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("license: [mit, mine]", '"license[1]" must be one of'),
        ("license: other", '"license_name" is required'),
        ("base_model: [org/base, a/b/c]", '"base_model[1]"'),
        ("base_model_relation: edited", '"base_model_relation" must be one of'),
        ("language: no", '"language" must be a string'),
        ("tags: spin", '"tags" must be an array'),
        ("license: [", "YAML: "),
        ("- a", "must be an object"),
    ],
)
def test_cards_are_judged_as_by_the_hub(hub, alice, card, said):
    errors, _ = validate(f"---\n{card}\n---\nText", "model")
    assert any(said in error for error in errors), errors
    alice._validate_yaml = lambda *_, **__: None
    with pytest.raises(BadRequestError, match="commit endpoint"):
        push(alice, README__md=f"---\n{card}\n---\n".encode())


def test_a_card_without_metadata_is_a_warning():
    assert validate(CARD.decode(), "model") == ([], [])
    assert validate("# A model", "model") == ([], [EMPTY])
