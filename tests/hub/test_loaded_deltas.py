"""Deltas by Hub id in Python and in set algebra: the base comes at the recorded commit."""

import json

import pytest
from pushing import refused
from stocking import UP

import spin_hub
from spin_hub.errors import ArtefactNotFound

DELTA, BASE = "alice/tiny-delta", "org/tiny"


@pytest.fixture
def published(desk, stock):
    """The delta on the Hub, and its base moved on since."""
    assert desk.push(stock.delta, repo=DELTA).code == 0
    shard = "model-00001-of-00003.safetensors"
    content = bytearray(desk.hub.files(BASE)[shard])
    content[-64:] = bytes(64)
    recorded = desk.hub.sha(BASE)
    desk.hub.put(BASE, {shard: bytes(content)})
    assert desk.hub.sha(BASE) != recorded
    return desk, recorded


def test_from_pretrained_loads_the_base_at_the_recorded_commit(published):
    desk, recorded = published
    with desk.client_here():
        delta = spin_hub.load_delta(DELTA)
        model = spin_hub.from_pretrained(DELTA)
        base = spin_hub.from_pretrained(DELTA, base=f"{BASE}@{recorded}")
    assert (delta.base.repo_id, delta.base.commit) == (BASE, recorded)
    spin_hub.revert_(delta, base)
    changed = {
        name: (weight != base.get_parameter(name)).view(-1).nonzero().view(-1).tolist()
        for name, weight in model.named_parameters()
        if not weight.equal(base.get_parameter(name))
    }
    assert changed == {UP: [3, 70, 2000]}


def test_a_repo_without_a_delta_and_a_repo_that_is_not_there(published):
    desk, _ = published
    with desk.client_here():
        for ref in (BASE, "org/nothing"):
            with pytest.raises(ArtefactNotFound):
                spin_hub.from_pretrained(ref)


def test_deltas_are_combined_and_compared_by_hub_id(published, stock):
    desk, recorded = published
    done = desk.run("combine", DELTA, stock.other, "--how", "or", "-o", "both", "--json")
    assert done.data["weights"] == 7
    assert done.data["base"] == {"repo_id": BASE, "commit": recorded}
    text = json.loads((desk.folder / "both" / "spin.json").read_text())
    assert text["recipe"]["method"]["deltas"]["a"]["repo_id"] == DELTA
    assert DELTA in (desk.folder / "both" / "README.md").read_text()
    assert desk.run("diff", DELTA, stock.other, "--json").data["shared"] == 0
    assert desk.push(desk.folder / "both", repo="alice/both").code == 0
    refused(desk, "diff", DELTA, stock.whole, kind="BasesDiffer")
