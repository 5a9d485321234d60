"""Adapters of a base on the Hub: pinned to its commit, made without its weights, and pushed."""

import json

import models
import pytest
import torch
from pushing import files_of, front_matter, in_repo, refused

PEFT = "alice/tiny-peft"


def test_the_adapter_names_the_commit_and_no_weight_is_downloaded(desk, stock):
    done = desk.run("export", stock.delta, "--as", "peft", "-o", "adapter", "--json")
    assert done.data["base"] == {"repo_id": "org/tiny", "commit": desk.hub.sha("org/tiny")}
    config = json.loads((desk.folder / "adapter" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("org/tiny", desk.hub.sha("org/tiny"))
    cached = [name for name in files_of(desk.home) if name.endswith(".safetensors")]
    assert not cached


def test_an_edited_model_of_the_hub_will_do_and_a_lora_is_measured_where_it_is_asked_for(desk):
    quick = desk.run("export", "alice/there", "--as", "lora", "-o", "quick", "--json")
    assert quick.data["adapter"]["unmerged"] is None
    assert "was not measured: the base's weights are not here (--measure" in quick.notes
    done = desk.run("export", "alice/there", "--as", "lora", "--measure", "-o", "adapter", "--json")
    assert done.data["adapter"]["unmerged"]["dtype"] == "bfloat16"
    # From now on the weights are in the cache, so that reading them costs little.
    again = desk.run("export", "alice/there", "--as", "lora", "-o", "again", "--json")
    assert again.data["adapter"] == done.data["adapter"]


def test_another_commit_of_the_base_is_refused_and_the_recorded_one_is_found(desk, stock):
    first = desk.hub.sha("org/tiny")
    config = models.tiny_config(tie_word_embeddings=True)
    later = models.save_checkpoint(desk.folder / "later", config, torch.bfloat16, "40KB", seed=1)
    desk.hub.put("org/tiny", later)
    assert desk.hub.sha("org/tiny") != first
    said = refused(desk, "export", stock.delta, "--as", "peft", "--base", "org/tiny", kind="SpinHubError")
    assert "No adapter of this delta is right" in said
    assert "sha256" in said
    done = desk.run("export", stock.delta, "--as", "peft", "-o", "adapter", "--json")
    assert done.data["base"]["commit"] == first


def test_an_adapter_is_pushed_with_its_card(desk, stock):
    assert desk.run("export", stock.delta, "--as", "peft", "-o", "adapter", "--json").code == 0
    done = desk.push(desk.folder / "adapter", repo=None)
    assert done.data["repo_id"] == PEFT
    there, here = in_repo(desk.hub, PEFT), files_of(desk.folder / "adapter")
    card = here["README.md"].replace(b"path/or/id/of/this/adapter", PEFT.encode())
    assert there == here | {"README.md": card.replace(b"path/to/this/adapter", PEFT.encode())}
    data = front_matter(there["README.md"])
    assert (data["library_name"], data["base_model"]) == ("peft", "org/tiny")
    assert data["base_model_relation"] == "adapter"
    again = desk.push(desk.folder / "adapter", repo=None)
    assert again.data["commit"] == done.data["commit"]


@pytest.mark.parametrize("form", ["peft", "lora"])
def test_edit_pushes_an_adapter_as_it_pushes_a_model(desk, form):
    ratios = ("--p", "5e-2", "--q", "1e-1", "--samples", "2", "--no-eval", "--yes")
    ratios = ratios if form == "lora" else ratios[:-1]
    done = desk.run("edit", "org/tiny", *ratios, "--as", form, "-o", "adapter", "--push", "--json")
    assert done.data["repo_id"] == f"alice/tiny-{form}"
    there = in_repo(desk.hub, f"alice/tiny-{form}")
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md", "spin/spin.json"} <= there.keys()
    data = front_matter(there["README.md"])
    assert (data["library_name"], data["base_model_relation"]) == ("peft", "adapter")
    assert json.loads(there["adapter_config.json"])["revision"] == desk.hub.sha("org/tiny")


def test_the_delta_of_an_adapter_is_pushed_alone(desk, stock):
    assert desk.run("export", stock.delta, "--as", "peft", "-o", "adapter", "--json").code == 0
    done = desk.push(desk.folder / "adapter", "--as", "delta", repo=None)
    assert done.data["repo_id"] == "alice/tiny-spin-delta"
    there = in_repo(desk.hub, "alice/tiny-spin-delta")
    assert "spin_delta.safetensors" in there and "adapter_config.json" not in there
    assert there["spin_delta.safetensors"] == files_of(desk.folder / "adapter")["spin/spin_delta.safetensors"]
