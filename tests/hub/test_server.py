"""The local Hub, asked by the real client: accounts, repos and pushes."""

import os
import threading

import pytest
import server
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete
from huggingface_hub.errors import (
    BadRequestError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

# The client sends files to the storage by a parameter that its own HTTP library has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

WEIGHTS = os.urandom(300_000)
CARD = b"---\nlicense: mit\nbase_model: org/base\n---\nA model.\n"


def add(path: str, content: bytes) -> CommitOperationAdd:
    return CommitOperationAdd(path, content)


def push(api, *operations, repo="acme/tiny", message="a push", **more):
    return api.create_commit(repo, list(operations), commit_message=message, **more)


def test_tokens_say_who_they_are(hub, client):
    scopes = {"alice": ("repo.content.read", "repo.write"), "acme/tiny": ("repo.content.read",)}
    hub.add_user("alice", "hf_fine", "fineGrained", {"acme": "admin"}, scopes=scopes, everywhere=("discussion.write",))
    account = client("alice").whoami()
    assert (account["name"], account["auth"]["accessToken"]["role"]) == ("alice", "write")
    assert [(org["name"], org["roleInOrg"]) for org in account["orgs"]] == [("acme", "write")]
    assert client("carol").whoami()["auth"]["accessToken"]["role"] == "read"
    fine = client("hf_fine").whoami()["auth"]["accessToken"]
    assert fine["role"] == "fineGrained"
    assert fine["fineGrained"]["global"] == ["discussion.write"]
    entities = [(scope["entity"]["type"], scope["entity"]["name"]) for scope in fine["fineGrained"]["scoped"]]
    assert entities == [("user", "alice"), ("model", "acme/tiny")]
    with pytest.raises(HfHubHTTPError, match="Invalid user token") as wrong:
        client("hf_nobody").whoami()
    assert wrong.value.response.status_code == 401


def test_repos_are_created_by_those_who_may(hub, client):
    alice = client("alice")
    assert alice.create_repo("acme/tiny", private=True).repo_id == "acme/tiny"
    assert alice.create_repo("mine", repo_type="dataset").repo_id == "alice/mine"
    assert hub.repo_ids() == ["acme/tiny"]
    assert hub.repo_ids("dataset") == ["alice/mine"]
    assert [commit.title for commit in hub.commits("acme/tiny")] == ["initial commit"]
    with pytest.raises(HfHubHTTPError, match="already created") as twice:
        alice.create_repo("acme/tiny")
    assert twice.value.response.json()["url"] == f"{hub.url}/acme/tiny"
    assert alice.create_repo("acme/tiny", exist_ok=True).url == f"{hub.url}/acme/tiny"
    with pytest.raises(BadRequestError, match="Invalid repo name"):
        alice.create_repo("acme/tiny.ipynb")
    with pytest.raises(BadRequestError, match="no repos of the type space"):
        alice.create_repo("acme/show", repo_type="space", space_sdk="static")
    for name in ("bob", "carol"):
        with pytest.raises(HfHubHTTPError, match="rights to create") as refused:
            client(name).create_repo("acme/other")
        assert refused.value.response.status_code == 403
    with pytest.raises(HfHubHTTPError):
        client("bob").delete_repo("acme/tiny")
    alice.delete_repo("acme/tiny")
    with pytest.raises(RepositoryNotFoundError):
        alice.delete_repo("acme/tiny")
    alice.delete_repo("acme/tiny", missing_ok=True)


def test_fine_grained_tokens_reach_as_far_as_their_scopes(hub, client):
    hub.put("acme/open", {"a.txt": "a"})
    hub.put("acme/other", {"a.txt": "a"}, private=True)
    scopes = {"acme/open": ("repo.write",), "alice": ("repo.content.read",)}
    hub.add_user("alice", "hf_fine", "fineGrained", ["acme"], scopes=scopes)
    fine = client("hf_fine")
    fine.auth_check("acme/open", write=True)
    with pytest.raises(RepositoryNotFoundError):
        fine.model_info("acme/other")
    with pytest.raises(HfHubHTTPError, match="rights to create"):
        fine.create_repo("alice/new")


def test_a_push_sends_large_files_once_and_small_ones_with_the_commit(hub, alice):
    plot = b"\x89PNG\0\xff" * 9
    first = push(alice, add("README.md", CARD), add("model.safetensors", WEIGHTS), add("plot.png", plot))
    assert first.oid == hub.sha("acme/tiny")
    assert first.commit_url == f"{hub.url}/acme/tiny/commit/{first.oid}"
    assert hub.files("acme/tiny")["model.safetensors"] == WEIGHTS
    tree = hub.head("acme/tiny").tree
    assert {name: file.lfs for name, file in tree.items() if name != ".gitattributes"} == {
        "README.md": False, "model.safetensors": True, "plot.png": True,
    }  # fmt: skip
    # A large file that no pattern covers gets its own line.
    assert b"plot.png filter=lfs" in hub.files("acme/tiny")[".gitattributes"]
    assert hub.traffic["put"].bytes_in == len(WEIGHTS) + len(plot)
    assert (hub.commits("acme/tiny")[0].title, hub.commits("acme/tiny")[0].author) == ("a push", "alice")

    hub.reset_traffic()
    second = push(alice, add("copy/model.safetensors", WEIGHTS), add("model.safetensors", WEIGHTS), message="again")
    assert hub.traffic["put"].requests == hub.traffic["put"].bytes_in == 0
    assert hub.files("acme/tiny")["copy/model.safetensors"] == WEIGHTS
    assert second.oid != first.oid
    # What is there already makes no commit, whether the client notices or the Hub.
    assert push(alice, add("model.safetensors", WEIGHTS)).oid == second.oid
    assert push(alice, CommitOperationCopy("model.safetensors", "copy/model.safetensors")).oid == second.oid
    assert len(hub.commits("acme/tiny")) == 3


def test_another_repo_has_to_be_sent_everything_unless_the_hub_shares(hub, alice):
    push(alice, add("model.safetensors", WEIGHTS))
    for repo, shared, sent in (("acme/two", False, len(WEIGHTS)), ("acme/three", True, 0)):
        hub.state.shared_objects = shared
        hub.reset_traffic()
        alice.create_repo(repo)
        push(alice, add("model.safetensors", WEIGHTS), repo=repo)
        assert hub.traffic["put"].bytes_in == sent
        assert hub.files(repo)["model.safetensors"] == WEIGHTS
    stored = hub.store.blobs.incoming.parent.rglob("*")
    assert len([path for path in stored if path.is_file() and path.stat().st_size == len(WEIGHTS)]) == 1


def test_large_files_go_in_parts(hub, alice):
    hub.state.part_size = 100_000
    push(alice, add("model.safetensors", WEIGHTS + b"end"), add("small.safetensors", WEIGHTS[:1000]))
    assert hub.traffic["put"].requests == 5
    assert hub.traffic["complete"].requests == 1
    assert hub.traffic["put"].bytes_in == len(WEIGHTS) + 3 + 1000
    assert hub.files("acme/tiny")["model.safetensors"] == WEIGHTS + b"end"
    assert not hub.leaks


def test_a_folder_is_pushed_by_the_rules_of_its_gitignore(hub, alice, tmp_path):
    for name in ("config.json", "sub/notes.md", "sub/old.log", ".gitignore"):
        (tmp_path / "up" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / name).write_text("*.log\n")
    alice.upload_folder(repo_id="acme/tiny", folder_path=tmp_path / "up", commit_message="a folder")
    assert set(hub.files("acme/tiny")) == {".gitattributes", ".gitignore", "config.json", "sub/notes.md"}
    alice.upload_folder(repo_id="acme/tiny", folder_path=tmp_path / "up" / "sub", delete_patterns="sub/*")
    assert set(hub.files("acme/tiny")) == {".gitattributes", ".gitignore", "config.json", "notes.md"}


def test_files_and_folders_are_deleted(hub, alice):
    push(alice, *(add(name, b"x") for name in ("a/b/c.txt", "a/d.txt", "e.txt")))
    push(alice, CommitOperationDelete("a/b/"), CommitOperationDelete("e.txt"))
    assert set(hub.files("acme/tiny")) == {".gitattributes", "a/d.txt"}
    with pytest.raises(RemoteEntryNotFoundError, match="Make sure to differentiate"):
        push(alice, CommitOperationDelete("a/b/"))
    with pytest.raises(RemoteEntryNotFoundError):
        push(alice, CommitOperationDelete("nothing.txt"))


def test_a_commit_on_an_old_parent_is_refused(hub, alice):
    old = hub.sha("acme/tiny")
    push(alice, add("a.txt", b"a"), parent_commit=old)
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as late:
        push(alice, add("b.txt", b"b"), parent_commit=old)
    assert late.value.response.status_code == 412
    assert "b.txt" not in hub.files("acme/tiny")


def test_of_many_commits_at_once_on_one_parent_one_is_made(hub, alice):
    parent, outcomes = hub.sha("acme/tiny"), []

    def one(number: int) -> None:
        try:
            outcomes.append(push(alice, add(f"{number}.txt", b"x"), parent_commit=parent).oid)
        except HfHubHTTPError as error:
            outcomes.append(error.response.status_code)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(412) == 5
    assert len(hub.commits("acme/tiny")) == 2


def test_a_commit_of_what_never_arrived_is_refused(hub, alice):
    operation = add("model.safetensors", WEIGHTS)
    operation._upload_mode, operation._is_uploaded = "lfs", True
    with pytest.raises(BadRequestError, match="LFS pointer pointed to a file that does not exist"):
        push(alice, operation)
    operation = add("plot.txt", b"\0\1\2")
    operation._upload_mode = "regular"
    with pytest.raises(BadRequestError, match="binary files"):
        push(alice, operation)


def test_only_writers_commit(client, alice):
    for name, status in (("bob", 403), ("carol", 403), (None, 401)):
        with pytest.raises(HfHubHTTPError) as refused:
            push(client(name), add("a.txt", b"a"))
        assert refused.value.response.status_code == status
        with pytest.raises(HfHubHTTPError):
            client(name).auth_check("acme/tiny", write=True)
    alice.auth_check("acme/tiny", write=True)
    with pytest.raises(RevisionNotFoundError):
        push(alice, add("a.txt", b"a"), revision="no-branch")


def test_what_is_stored_is_there_when_the_hub_starts_again(tmp_path):
    with server.LocalHub(tmp_path / "kept") as first:
        commit = first.put("acme/tiny", {"model.safetensors": WEIGHTS}, private=True)
        first.put("acme/tiny", {"data.csv": b"a,b"}, "dataset")
    with server.LocalHub(tmp_path / "kept") as second:
        assert second.sha("acme/tiny") == commit
        assert second.files("acme/tiny") == {"model.safetensors": WEIGHTS}
        assert second.repo("acme/tiny").private
        assert second.files("acme/tiny", kind="dataset") == {"data.csv": b"a,b"}
