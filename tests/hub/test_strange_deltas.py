"""Deltas that are damaged, written to do harm, or of another base: refused, and nothing is changed anywhere."""

import shutil

import pytest
from deltas import DAMAGES, damaged
from pushing import files_of, in_repo, refused

BASE = "org/tiny"


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_delta_is_neither_applied_nor_pushed(desk, stock, damage):
    folder = shutil.copytree(stock.delta, desk.folder / "delta")
    kind = damaged(folder / "spin_delta.safetensors", damage)
    refused(desk, "apply", folder, BASE, "--force", kind=kind)
    before = desk.state()
    assert desk.push(folder).error["type"] in {kind, "NotPushable"}
    assert desk.state() == before


@pytest.mark.parametrize("damage", ["doubled", "a tensor whose name climbs", "truncated"])
def test_a_damaged_delta_is_refused_wherever_it_lies(desk, stock, damage):
    model = shutil.copytree(stock.edited, desk.folder / "model")
    file = model / "spin" / "spin_delta.safetensors"
    kind = damaged(file, damage)
    desk.hub.put("bob/delta", {"spin_delta.safetensors": file.read_bytes()})
    desk.hub.put("bob/model", model)
    for given in (file, model, "bob/delta", "bob/model"):
        refused(desk, "apply", given, BASE, "--push", kind=kind)
    before = desk.state()
    assert desk.push(model).error["type"] in {kind, "NotPushable"}
    for edited in (model, "bob/model"):
        assert desk.run("revert", edited, "--json").error["type"] in {kind, "DeltaMismatch"}
    assert desk.state() == before


def test_a_base_that_changed_since_is_refused_and_force_goes_on(desk, stock):
    shard = "model-00003-of-00003.safetensors"
    content = bytearray(desk.hub.files(BASE)[shard])
    content[-1] ^= 1
    commit = desk.hub.sha(BASE)
    desk.hub.put(BASE, {shard: bytes(content)})
    said = refused(desk, "apply", stock.delta, BASE, "--push", kind="BaseChanged")
    assert commit in said
    assert shard in said
    done = desk.run("apply", stock.delta, BASE, "--push", "--force", "--json")
    assert done.data["weights"] == 3
    assert in_repo(desk.hub)[shard] == bytes(content)
    again = desk.run("apply", stock.delta, f"{BASE}@{commit}", "-o", "same", "--json")
    assert again.code == 0
    assert files_of(desk.folder / "same") == files_of(stock.edited)
