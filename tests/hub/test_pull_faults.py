"""What a person sees when a download goes wrong, that nothing is written then, and how the same command goes on."""

import pytest
from pushing import THERE, files_of, in_repo
from server import Fault

BASE = "org/tiny"
SHARD = "model-00001-of-00003.safetensors"


def damage(desk, repo_id: str, name: str) -> None:
    """Changes a byte of a stored file, so that its size stays and its sha256 does not."""
    path = desk.hub.store.blobs.path(desk.hub.head(repo_id).tree[name].sha256)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def goes_on(desk, stock) -> None:
    desk.hub.heal()
    done = desk.run("apply", stock.delta, BASE, "-o", "out", "--json")
    assert done.code == 0, done.stdout
    assert files_of(desk.folder / "out") == files_of(stock.edited)


FAULTS = [
    {"status": 401},
    {"status": 403},
    {"status": 404},
    {"status": 429, "retry_after": 1},
    {"status": 500},
    {"status": 503},
    {"cut_after": 1_000},
    {"cut_after": 1_000, "reset": True},
]


@pytest.mark.parametrize("route", ["info", "tree", "head", "resolve"])
def test_a_download_that_fails_is_one_sentence_and_writes_nothing(desk, stock, route):
    for fault in FAULTS:
        if route == "head" and "cut_after" in fault:
            continue
        hit = desk.hub.fail(Fault(route, times=None, **fault))
        error = desk.run("apply", stock.delta, BASE, "-o", "out", "--json").error
        assert hit.hits
        kinds = {401: {"TokenRefused"}, 403: {"AccessDenied"}, 404: {"ModelNotFound", "HubUnreachable"}}
        assert error["type"] in kinds.get(fault.get("status"), {"HubUnreachable"}), (fault, error)
        assert not (desk.folder / "out").exists()
        desk.hub.heal()
    goes_on(desk, stock)


def test_a_file_that_the_hub_does_not_give_is_told_with_the_cause(desk, stock):
    desk.hub.fail(Fault("head", 503, times=None))
    error = desk.run("apply", stock.delta, BASE, "-o", "out", "--json").error
    assert "it answered 503" in error["message"]


@pytest.mark.parametrize("fault", FAULTS[3:], ids=str)
def test_a_download_that_fails_once_goes_on(desk, stock, fault):
    desk.hub.fail(Fault("resolve", path=SHARD, **fault))
    done = desk.run("apply", stock.delta, BASE, "-o", "out", "--json")
    if done.code:
        assert done.error["type"] == "HubUnreachable"
    goes_on_anew = desk.run("apply", stock.delta, BASE, "-o", "out", "--overwrite", "--json")
    assert goes_on_anew.code == 0
    assert files_of(desk.folder / "out") == files_of(stock.edited)


def test_a_damaged_download_is_told_before_anything_is_written(desk, stock):
    damage(desk, BASE, SHARD)
    for arguments in (
        ("apply", stock.delta, BASE, "-o", "out", "--push"),
        ("edit", BASE, "--p", "1e-2", "--q", "1e-1", "--samples", "2", "-o", "out", "--push"),
    ):
        error = desk.run(*arguments, "--json").error
        assert error["type"] == "DownloadDamaged"
        assert SHARD in error["message"]
        assert "hf cache rm" in error["hint"]
        assert not (desk.folder / "out").exists()
    assert desk.hub.repo_ids() == ["alice/there", "org/tiny", "org/whole"]


def test_a_damaged_delta_of_the_hub_is_told(desk, stock):
    damage(desk, THERE, "spin/spin_delta.safetensors")
    error = desk.run("apply", THERE, BASE, "-o", "out", "--json").error
    assert error["type"] == "DownloadDamaged"
    assert not (desk.folder / "out").exists()


def test_a_damaged_edited_model_is_not_reverted(desk, stock):
    damage(desk, THERE, SHARD)
    error = desk.run("revert", THERE, "-o", "back", "--json").error
    assert error["type"] in {"DownloadDamaged", "RevertFailed"}
    assert not (desk.folder / "back").exists()


def test_a_warm_cache_is_enough_without_a_network_and_without_a_hub(desk, stock):
    assert desk.run("apply", THERE, BASE, "-o", "online").code == 0
    assert desk.run("revert", THERE, "-o", "back").code == 0
    desk.hub.reset_traffic()
    for given, output in (("offline", {"HF_HUB_OFFLINE": "1"}), ("closed", {})):
        if given == "closed":
            desk.hub.close()
        assert desk.run("apply", THERE, BASE, "-o", given, who=None, **output).code == 0
        assert files_of(desk.folder / given) == files_of(stock.edited)
        assert desk.run("revert", THERE, "-o", f"back {given}", who=None, **output).code == 0
        assert files_of(desk.folder / f"back {given}") == in_repo(desk.hub, BASE)
    assert not desk.hub.seen


def test_nothing_can_be_pushed_offline(desk, stock):
    for arguments in (("push", stock.edited), ("apply", stock.delta, BASE, "--push")):
        error = desk.run(*arguments, "--json", HF_HUB_OFFLINE="1").error
        assert error["type"] == "HubSilent"
        assert "offline mode is on" in error["message"]
