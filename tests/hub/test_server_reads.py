"""The local Hub, read by the real client: pages, lists, files, and who may have them."""

import hashlib
import os

import pytest
import server
from huggingface_hub import HfFileSystem, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import get_hf_file_metadata
from huggingface_hub.utils import get_session, hf_raise_for_status
from safetensors.numpy import save

WEIGHTS = os.urandom(300_000)
CARD = """---
license: llama3.2
language: [en, de]
tags: [spin, "arxiv:2410.16672"]
base_model: org/base
pipeline_tag: text-generation
library_name: transformers
datasets: [org/rows]
---
See https://arxiv.org/abs/2101.00027
"""


@pytest.fixture
def commit(hub):
    files = {
        "README.md": CARD, "config.json": '{"model_type": "llama"}', "model.safetensors": WEIGHTS, "a/b.txt": "b",
    }  # fmt: skip
    return hub.put("org/tiny", files)


def fetch(api, repo, name, folder, **more):
    with open(api.hf_hub_download(repo, name, cache_dir=folder, **more), "rb") as file:  # noqa: PTH123
        return file.read()


def test_a_repo_page_has_its_files_and_what_its_card_says(hub, client, commit):
    info = client().model_info("org/tiny", files_metadata=True)
    assert (info.sha, info.author, info.private, info.gated) == (commit, "org", False, False)
    assert (info.pipeline_tag, info.library_name, info.card_data.base_model) == (
        "text-generation", "transformers", "org/base",
    )  # fmt: skip
    assert set(info.tags) == {
        "transformers", "safetensors", "llama", "text-generation", "spin", "arxiv:2410.16672", "arxiv:2101.00027",
        "en", "de", "dataset:org/rows", "base_model:org/base", "base_model:finetune:org/base", "license:llama3.2",
        "region:us",
    }  # fmt: skip
    files = {entry.rfilename: entry for entry in info.siblings}
    weights = files["model.safetensors"]
    assert (weights.size, weights.lfs.sha256) == (len(WEIGHTS), hashlib.sha256(WEIGHTS).hexdigest())
    assert files["a/b.txt"].blob_id == "63d8dbd40c23542e740659a7168a0ce3138ea748"  # git hash-object of b
    assert files["a/b.txt"].lfs is None
    assert client().model_info("org/tiny").siblings[0].size is None
    assert client().model_info("org/tiny", revision=commit[:10]).sha == commit
    with pytest.raises(RevisionNotFoundError):
        client().model_info("org/tiny", revision="v9")
    with pytest.raises(RepositoryNotFoundError):
        client("alice").dataset_info("org/tiny")


def test_trees_paths_and_commits(hub, client, commit):
    api = client()
    hub.state.page_size = 2
    second = hub.put("org/tiny", {"a/c/d.txt": "d"}, message="second")
    assert {entry.path for entry in api.list_repo_tree("org/tiny")} == {
        "README.md", "config.json", "model.safetensors", "a",
    }  # fmt: skip
    deep = {entry.path for entry in api.list_repo_tree("org/tiny", "a", recursive=True)}
    assert deep == {"a/b.txt", "a/c", "a/c/d.txt"}
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree("org/tiny", "nothing"))
    asked = ["a", "a/b.txt", "model.safetensors", "none"]
    folder, text, weights = api.get_paths_info("org/tiny", asked, expand=True)
    assert (folder.path, folder.last_commit.oid) == ("a", second)
    assert text.last_commit.oid == commit
    assert (weights.lfs.sha256, weights.xet_hash) == (hashlib.sha256(WEIGHTS).hexdigest(), None)
    hub.put("org/tiny", {"a/e.txt": "e"}, remove=["config.json"])
    assert [entry.title for entry in api.list_repo_commits("org/tiny")] == ["Add files", "second", "Add files"]
    assert [entry.commit_id for entry in api.list_repo_commits("org/tiny", revision=second)] == [second, commit]
    assert not api.file_exists("org/tiny", "config.json")


def test_lists_are_filtered_and_come_in_pages(hub, client, commit):
    hub.state.page_size = 2
    for number in range(4):
        hub.put(f"acme/edit-{number}", {"README.md": "---\nbase_model: org/tiny\ntags: [spin]\n---\n"})
    adapter = "---\nbase_model: org/tiny\nbase_model_relation: adapter\n---\n"
    hub.put("acme/delta", {"README.md": adapter}, private=True)
    hub.put("org/rows", {"README.md": "---\nlicense: mit\n---\n"}, "dataset")

    def found(name=None, **query):
        return [info.id for info in client(name).list_models(**query)]

    edits = [f"acme/edit-{number}" for number in range(4)]
    assert found(filter="base_model:org/tiny") == edits
    assert found("alice", filter="base_model:org/tiny") == ["acme/delta", *edits]
    assert found("alice", filter="base_model:adapter:org/tiny") == ["acme/delta"]
    assert found("bob", filter="base_model:adapter:org/tiny") == []
    assert found(filter=["base_model:org/tiny", "spin"], search="EDIT-1") == ["acme/edit-1"]
    assert found(author="org") == ["org/tiny"]
    assert found(filter="spin", limit=3, sort="created_at") == ["acme/edit-3", "acme/edit-2", "acme/edit-1"]
    [bare] = client().list_models(author="org")
    [full] = client().list_models(author="org", full=True, cardData=True)
    assert (bare.sha, bare.card_data, full.sha, full.card_data.license) == (None, None, commit, "llama3.2")
    [expanded] = client().list_models(author="org", expand=["sha", "gated"])
    assert (expanded.sha, expanded.tags) == (commit, None)
    assert [info.id for info in client().list_datasets(filter="license:mit")] == ["org/rows"]


def test_files_are_downloaded_whole_and_in_parts(hub, client, commit, tmp_path):
    api = client("alice")
    assert fetch(api, "org/tiny", "model.safetensors", tmp_path) == WEIGHTS
    assert fetch(api, "org/tiny", "a/b.txt", tmp_path) == b"b"
    assert fetch(api, "org/tiny", "README.md", tmp_path, revision=commit) == CARD.encode()
    assert hub.traffic["resolve"].bytes_out == len(WEIGHTS) + 1 + len(CARD)
    assert (hub.traffic["head"].requests, hub.traffic["redirect"].requests) == (3, 0)
    folder = snapshot_download("org/tiny", cache_dir=tmp_path / "all", endpoint=hub.url, token=False)
    assert {path.name for path in (tmp_path / "all").rglob("*.txt")} == {"b.txt"}
    assert folder.endswith(commit)

    url = f"{hub.url}/org/tiny/resolve/main/model.safetensors"
    metadata = get_hf_file_metadata(url)
    assert (metadata.etag, metadata.size) == (hashlib.sha256(WEIGHTS).hexdigest(), len(WEIGHTS))
    assert (metadata.commit_hash, metadata.xet_file_data) == (commit, None)
    assert not metadata.location.startswith(hub.url)
    for asked, start, end in (("0-9", 0, 10), ("299990-400000", 299_990, 300_000), ("-5", 299_995, 300_000)):
        part = get_session().get(url, headers={"Range": f"bytes={asked}", "Authorization": "Bearer hf_alice"})
        assert (part.status_code, part.content) == (206, WEIGHTS[start:end])
        assert part.headers["Content-Range"] == f"bytes {start}-{end - 1}/300000"
    with pytest.raises(HfHubHTTPError, match=r"Requested range: bytes=300000-. Content-Range: bytes \*/300000"):
        hf_raise_for_status(get_session().get(url, headers={"Range": "bytes=300000-"}))
    assert not hub.leaks


def test_tokens_stay_away_from_the_storage_and_links_cannot_be_made_up(hub, client, commit):
    link = get_hf_file_metadata(f"{hub.url}/org/tiny/resolve/main/model.safetensors").location
    assert get_session().get(link).content == WEIGHTS
    assert get_session().get(link[:-1] + "x").status_code == 403
    assert get_session().get(link, headers={"Authorization": "Bearer hf_alice"}).status_code == 400
    assert len(hub.leaks) == 1
    assert "hf_alice" not in repr(hub.seen)


def test_headers_of_weights_and_ranges_are_read_from_afar(hub, client):
    import numpy as np

    hub.put("org/tensors", {"model.safetensors": save({"a.weight": np.ones((300, 300), np.float32)})})
    spans = client().get_safetensors_metadata("org/tensors")
    assert spans.files_metadata["model.safetensors"].tensors["a.weight"].shape == [300, 300]
    assert hub.traffic["resolve"].bytes_out == 100_001
    files = HfFileSystem(endpoint=hub.url, token=False, skip_instance_cache=True)
    with files.open("org/tensors/model.safetensors", block_size=4096) as file:
        file.seek(-4, os.SEEK_END)
        assert file.read() == np.float32(1).tobytes()


def test_what_is_missing_is_told_apart(hub, client, commit, tmp_path):
    with pytest.raises(RemoteEntryNotFoundError) as entry:
        fetch(client(), "org/tiny", "nothing.json", tmp_path)
    assert entry.value.response.headers["X-Repo-Commit"] == commit
    with pytest.raises(RevisionNotFoundError):
        fetch(client(), "org/tiny", "config.json", tmp_path, revision="v9")
    for name, status in ((None, 401), ("bob", 404)):
        with pytest.raises(RepositoryNotFoundError) as repo:
            fetch(client(name), "org/nothing", "config.json", tmp_path)
        assert repo.value.response.status_code == status
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as invalid:
        client("hf_wrong").model_info("org/tiny")
    assert not isinstance(invalid.value, RepositoryNotFoundError)


def test_private_repos_are_for_their_own(hub, client, tmp_path):
    hub.put("acme/secret", {"a.bin": b"\0"}, private=True)
    for name in (None, "bob"):
        for ask in (client(name).model_info, client(name).auth_check, client(name).list_repo_refs):
            with pytest.raises(RepositoryNotFoundError):
                ask("acme/secret")
        with pytest.raises(RepositoryNotFoundError):
            fetch(client(name), "acme/secret", "a.bin", tmp_path)
        assert not client(name).repo_exists("acme/secret")
    for name in ("alice", "carol"):
        assert client(name).model_info("acme/secret").private
        assert fetch(client(name), "acme/secret", "a.bin", tmp_path) == b"\0"
    client("alice").update_repo_settings("acme/secret", private=False, gated="auto")
    assert client("bob").model_info("acme/secret").gated == "auto"
    with pytest.raises(HfHubHTTPError, match="role read"):
        client("carol").update_repo_settings("acme/secret", private=True)


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_gated_repos_show_their_page_and_keep_their_files(hub, client, tmp_path, kind):
    hub.put("org/closed", {"README.md": "hello", "a.bin": b"\0"}, kind, gated=True)
    for name, status in ((None, 401), ("bob", 403)):
        assert client(name).repo_info("org/closed", repo_type=kind).gated == "manual"
        assert client(name).list_repo_files("org/closed", repo_type=kind) == ["README.md", "a.bin"]
        for path in ("README.md", "a.bin"):
            with pytest.raises(GatedRepoError, match="restricted") as closed:
                fetch(client(name), "org/closed", path, tmp_path, repo_type=kind)
            assert closed.value.response.status_code == status
        with pytest.raises(GatedRepoError):
            client(name).auth_check("org/closed", repo_type=kind)
    hub.grant("bob", "org/closed", kind)
    hub.add_user("bob", "hf_fine", "fineGrained", reads_gated=False)
    assert fetch(client("bob"), "org/closed", "a.bin", tmp_path, repo_type=kind) == b"\0"
    client("bob").auth_check("org/closed", repo_type=kind)
    with pytest.raises(GatedRepoError):
        client("hf_fine").auth_check("org/closed", repo_type=kind)


def test_a_renamed_repo_is_found_under_its_old_name(hub, client, commit, tmp_path):
    hub.move("org/tiny", "org/new")
    assert client("alice").model_info("org/tiny").id == "org/new"
    for name in ("model.safetensors", "a/b.txt"):
        assert fetch(client("alice"), "org/tiny", name, tmp_path) == hub.files("org/new")[name]
    assert not hub.leaks


def test_a_closed_hub_answers_nobody(client, tmp_path):
    with server.LocalHub() as gone:
        url = gone.url
        gone.put("org/tiny", {"a.txt": "a"})
        api = type(client())(endpoint=url, token=False)
        assert api.model_info("org/tiny").id == "org/tiny"
    with pytest.raises(Exception, match=r"refused|closed|disconnected|reset"):
        api.model_info("org/tiny")
