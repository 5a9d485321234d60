"""Weights of a Hub model, found before they are downloaded as those of a folder are."""

import json
import shutil

import pytest
from layouts import OVERLAY, overlay, weight_map, write_map
from safetensors.torch import load_file

from spin_hub.core.files import SHARDED, SINGLE

PLAN = ("--plan", "--p", "1e-2", "--q", "1e-1", "--samples", "2", "--json")


@pytest.fixture
def base(sharded, tmp_path):
    return shutil.copytree(sharded, tmp_path / "base")


def downloaded(folder) -> set[str]:
    return {path.name for path in (folder / "hf").rglob("*") if path.suffix == ".safetensors"}


def test_shards_without_their_index_are_named_before_the_download(hub, visitor, base, tmp_path):
    (base / SHARDED).unlink()
    hub.put("org/tiny", base)
    error = visitor.run("edit", "org/tiny", *PLAN[1:], who=None).error
    assert (error["type"], f"but {SHARDED} is missing" in error["message"]) == ("WeightsIncomplete", True)
    assert not downloaded(tmp_path)


def test_missing_shards_are_counted_before_the_download(hub, visitor, base, tmp_path):
    shards = sorted(set(weight_map(base).values()))
    (base / shards[0]).unlink()
    hub.put("org/tiny", base)
    error = visitor.run("edit", "org/tiny", *PLAN[1:], who=None).error
    assert error["type"] == "WeightsIncomplete"
    assert f"1 of the {len(shards)} shards" in error["message"]
    assert not downloaded(tmp_path)


def test_an_adapter_alone_is_named_with_its_base(hub, visitor, tmp_path):
    config = json.dumps({"base_model_name_or_path": "org/base"}).encode()
    hub.put("org/lora", {"adapter_config.json": config, "adapter_model.safetensors": b"x"})
    error = visitor.run("edit", "org/lora", *PLAN, who=None).error
    assert error["type"] == "NoSafetensors"
    assert "org/lora holds an adapter of org/base, not a model" in error["message"]


def test_a_plan_of_one_file_beside_shards_says_what_is_set_aside(hub, visitor, base, tiny, tmp_path):
    shutil.copy(tiny / SINGLE, base)
    hub.put("org/tiny", base)
    done = visitor.run("edit", "org/tiny", *PLAN, who=None)
    assert done.code == 0
    assert "read from model.safetensors" in " ".join(done.stderr.split())
    assert not downloaded(tmp_path)


def test_an_overlay_is_edited_from_the_hub_and_verified_against_it(hub, visitor, base, tmp_path):
    overlay(base)
    # A shard of another name than save_pretrained gives.
    entries = {name: "weights.safetensors" if shard == OVERLAY else shard for name, shard in weight_map(base).items()}
    (base / OVERLAY).rename(base / "weights.safetensors")
    write_map(base, entries)
    hub.put("org/tiny", base)
    done = visitor.run("edit", "org/tiny", *PLAN[1:], "-o", "out", who=None)
    assert done.code == 0, done.stderr
    record = json.loads((tmp_path / "out/spin/spin.json").read_text())["recipe"]["model"]
    assert "weights.safetensors" in record["files"]
    assert not record["left_out"]
    assert load_file(tmp_path / "out" / "weights.safetensors").keys() == load_file(base / "weights.safetensors").keys()
    for more in ((), ("--quick",)):
        assert visitor.run("verify", "out", "--json", *more, who=None).data["equal"]
