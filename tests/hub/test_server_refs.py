"""The local Hub, asked by the real client: pull requests, tags, branches, copies between repos, and cards."""

import pytest
from huggingface_hub import CommitOperationCopy, CommitOperationDelete, RepoCard, constants
from huggingface_hub.errors import BadRequestError, FileDuplicationError, HfHubHTTPError, RevisionNotFoundError
from test_server import CARD, WEIGHTS, add, push

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_pull_requests_are_opened_continued_and_merged(hub, client, alice):
    base, bob = hub.sha("acme/tiny"), client("bob")
    opened = push(bob, add("a.safetensors", WEIGHTS), create_pr=True, message="mine", commit_description="please")
    assert (opened.pr_num, opened.pr_revision) == (1, "refs/pr/1")
    assert opened.pr_url == f"{hub.url}/acme/tiny/discussions/1"
    push(bob, add("b.txt", b"b"), revision="refs/pr/1")
    assert [commit.title for commit in hub.commits("acme/tiny", "refs/pr/1")] == ["a push", "mine", "initial commit"]
    assert hub.sha("acme/tiny") == base
    assert bob.model_info("acme/tiny", revision="refs/pr/1").sha == hub.sha("acme/tiny", "refs/pr/1")
    refs = bob.list_repo_refs("acme/tiny", include_pull_requests=True)
    assert [(ref.name, ref.target_commit) for ref in refs.pull_requests] == [("1", hub.sha("acme/tiny", "refs/pr/1"))]
    [listed] = bob.get_repo_discussions("acme/tiny", discussion_status="open")
    assert (listed.title, listed.author, listed.is_pull_request) == ("mine", "bob", True)

    push(alice, add("c.txt", b"c"))
    with pytest.raises(HfHubHTTPError, match="Forbidden"):
        bob.merge_pull_request("acme/tiny", 1)
    alice.merge_pull_request("acme/tiny", 1)
    assert {"a.safetensors", "b.txt", "c.txt"} < set(hub.files("acme/tiny"))
    detail = bob.get_discussion_details("acme/tiny", 1)
    assert (detail.status, detail.merge_commit_oid) == ("merged", hub.sha("acme/tiny"))
    assert [pull.status for pull in hub.pull_requests("acme/tiny")] == ["merged"]
    assert bob.create_pull_request("acme/tiny", "an empty one").num == 2
    with pytest.raises(HfHubHTTPError, match="role read"):
        push(client("carol"), add("a.txt", b"a"), create_pr=True)


def test_tags_and_branches(hub, alice):
    first = hub.sha("acme/tiny")
    second = push(alice, add("a.txt", b"a")).oid
    alice.create_tag("acme/tiny", tag="v1", revision=first[:8], tag_message="the first")
    alice.create_tag("acme/tiny", tag="v2")
    assert hub.tags("acme/tiny") == {"v1": first, "v2": second}
    with pytest.raises(HfHubHTTPError) as twice:
        alice.create_tag("acme/tiny", tag="v1")
    assert twice.value.response.status_code == 409
    alice.create_tag("acme/tiny", tag="v1", exist_ok=True)
    with pytest.raises(RevisionNotFoundError):
        alice.create_tag("acme/tiny", tag="v3", revision="nowhere")
    alice.delete_tag("acme/tiny", tag="v2")
    alice.create_branch("acme/tiny", branch="dev/one", revision="v1")
    with pytest.raises(HfHubHTTPError, match="already exists"):
        alice.create_branch("acme/tiny", branch="dev/one")
    with pytest.raises(BadRequestError, match="Invalid reference"):
        alice.create_branch("acme/tiny", branch="refs/pr/5")
    push(alice, add("b.txt", b"b"), revision="dev/one")
    assert set(hub.files("acme/tiny", "dev/one")) == {".gitattributes", "b.txt"}
    refs = alice.list_repo_refs("acme/tiny")
    assert ([ref.name for ref in refs.branches], [ref.name for ref in refs.tags]) == (["main", "dev/one"], ["v1"])
    alice.delete_branch("acme/tiny", branch="dev/one")
    assert set(hub.branches("acme/tiny")) == {"main"}
    with pytest.raises(HfHubHTTPError):
        alice.delete_branch("acme/tiny", branch="main")


def test_large_files_are_copied_between_repos_where_the_hub_can(hub, alice):
    hub.put("org/base", {"model.safetensors": WEIGHTS, "config.json": b"{}"})
    copies = [
        CommitOperationCopy(name, name, "main", "org/base", "model") for name in ("model.safetensors", "config.json")
    ]
    with pytest.raises(ValueError, match="no xet hash"):
        push(alice, *copies)
    hub.state.copies = "fails"
    with pytest.raises(FileDuplicationError, match="different storage regions"):
        push(alice, *copies)
    hub.state.copies = True
    push(alice, *copies)
    assert hub.files("acme/tiny")["model.safetensors"] == WEIGHTS
    assert hub.traffic["copy"].requests == 2
    assert not hub.traffic["put"].requests
    push(alice, CommitOperationCopy("model.safetensors", "again.safetensors"), CommitOperationDelete("config.json"))
    assert hub.files("acme/tiny")["again.safetensors"] == WEIGHTS


def test_cards_are_checked_before_and_in_a_push(hub, alice, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    RepoCard(CARD.decode()).validate(repo_type="model")
    with pytest.raises(ValueError, match='^- Error: "license" must be one of'):
        RepoCard("---\nlicense: mine\n---\n").validate(repo_type="model")
    with pytest.raises(ValueError, match='"base_model" with value "/tmp/x" is not valid'):
        push(alice, add("README.md", b"---\nbase_model: /tmp/x\n---\n"))
    assert not hub.traffic["preupload"].requests
    with pytest.warns(UserWarning, match="empty or missing yaml"):
        push(alice, add("README.md", b"No metadata.\n"))
    alice._validate_yaml = lambda *_, **__: None
    with pytest.raises(BadRequestError, match='commit endpoint:\n"license" must be one of'):
        push(alice, add("README.md", b"---\nlicense: mine\n---\n"))
