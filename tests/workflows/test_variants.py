"""A delta on other models than its base: fine-tunes, casts, re-sharded copies, strangers."""

import json
import shutil
from pathlib import Path

import models
import numpy as np
import pytest
import torch
import verbs
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import spin_hub
from spin_hub.errors import DeltaMismatch, QuantisedCheckpoint, Unrelated
from spin_hub.recipe import Destination, ScoringRecipe, SelectionRecipe
from spin_hub.workflows.apply import ApplyOptions
from spin_hub.workflows.edit import EditRequest


@pytest.fixture(scope="module")
def edited(sharded, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("edited") / "model"
    selection = SelectionRecipe(p=1e-2, q=1e-1)
    spin_hub.edit(EditRequest(str(sharded), ScoringRecipe(samples=3), selection, "model", Destination(folder)))
    return folder


@pytest.fixture(scope="module")
def tuned(sharded, tmp_path_factory) -> Path:
    """A fine-tune by real training steps, saved in one shard."""
    folder = tmp_path_factory.mktemp("tuned") / "tuned"
    model = AutoModelForCausalLM.from_pretrained(sharded, dtype=torch.float32)
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(3):
        ids = torch.randint(0, 250, (2, 16))
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.to(torch.bfloat16).save_pretrained(folder)
    models.byte_tokenizer().save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n\nTuned.\n", "utf-8")
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_fine_tune_gets_zeros_at_the_same_positions_and_comes_back(edited, tuned, tmp_path):
    outcome = verbs.apply(edited, tuned, Destination(tmp_path / "out"))
    delta = spin_hub.read_delta(edited / "spin" / "spin_delta.safetensors")
    before = load_file(tuned / "model.safetensors")
    after = load_file(tmp_path / "out" / "model.safetensors")
    for name, tensor in before.items():
        touched = np.zeros(tensor.numel(), bool)
        if name in delta.edits:
            touched[delta.edits[name].indices] = True
        assert not after[name].reshape(-1)[torch.tensor(touched)].any()
        assert torch.equal(after[name].reshape(-1)[torch.tensor(~touched)], tensor.reshape(-1)[torch.tensor(~touched)])
    assert outcome.fit["changed"] > 0
    assert outcome.fit["drift"] < 0.5
    spin_hub.revert(tmp_path / "out", output=tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(tuned)


def test_the_record_and_the_card_of_a_variant_say_where_the_edit_comes_from(edited, tuned, tmp_path):
    verbs.apply(edited, tuned, Destination(tmp_path / "out"))
    record = json.loads((tmp_path / "out" / "spin" / "spin.json").read_text())
    assert record["applied"]["base"]["name"] == "sharded"
    assert record["applied"]["fit"]["weights"] == record["result"]["weights"]
    assert record["evaluation"] is None
    assert record["recipe"]["model"]["name"] == "tuned"
    assert record["recipe"]["method"]["chosen_on"]["name"] == "sharded"
    card = (tmp_path / "out" / "README.md").read_text()
    assert "The weights were chosen on sharded" in card
    assert "No card says that this model descends from that base" in card
    assert "spin-hub apply path/to/the/delta path/to/tuned" in card
    assert "spin-hub edit" not in card.split("## Reproduce")[1]


def test_a_delta_of_a_variant_still_names_the_model_on_which_it_was_chosen(edited, tuned, sharded, tmp_path):
    verbs.apply(edited, tuned, Destination(tmp_path / "one"))
    verbs.apply(tmp_path / "one", sharded, Destination(tmp_path / "two"))
    record = json.loads((tmp_path / "two" / "spin" / "spin.json").read_text())
    assert record["recipe"]["method"]["chosen_on"]["name"] == "sharded"
    assert record["applied"]["base"]["name"] == "tuned"
    for name in ("config.json", "model-00001-of-00003.safetensors"):
        if (edited / name).is_file():
            assert (tmp_path / "two" / name).read_bytes() == (edited / name).read_bytes()


def test_another_type_and_other_shards_do_not_matter(edited, sharded, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(sharded, dtype=torch.float32)
    model.save_pretrained(tmp_path / "cast")
    outcome = verbs.apply(edited, tmp_path / "cast", Destination(tmp_path / "out"))
    assert outcome.fit["equal"] == outcome.fit["weights"]
    delta = spin_hub.read_delta(tmp_path / "out" / "spin" / "spin_delta.safetensors")
    assert {edit.dtype for edit in delta.edits.values()} == {"F32"}
    spin_hub.revert(tmp_path / "out", output=tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(tmp_path / "cast")


def test_a_copy_of_the_base_that_differs_elsewhere_is_a_variant(edited, sharded, tmp_path):
    folder = shutil.copytree(sharded, tmp_path / "copy")
    shard = sorted(folder.glob("*.safetensors"))[0]
    tensors = load_file(shard)
    tensors["model.embed_tokens.weight"][0, 0] += 1
    save_file(tensors, shard, {"format": "pt"})
    outcome = verbs.apply(edited, folder, Destination(tmp_path / "out"))
    assert outcome.fit["equal"] == outcome.fit["weights"]
    assert json.loads((tmp_path / "out" / "spin" / "spin.json").read_text())["applied"]
    spin_hub.revert(tmp_path / "out", output=tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(folder)


def test_a_stranger_is_refused_unless_forced(edited, tmp_path):
    config = models.tiny_config(tie_word_embeddings=True)
    other = models.save_checkpoint(tmp_path / "other", config, torch.bfloat16, "40KB", seed=1)
    with pytest.raises(Unrelated, match="no card links it"):
        verbs.apply(edited, other, Destination(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    verbs.apply(edited, other, Destination(tmp_path / "out"), ApplyOptions(force=True))
    spin_hub.revert(tmp_path / "out", output=tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(other)


def test_a_plan_writes_nothing(edited, tuned, own_folder):
    outcome = verbs.apply(edited, tuned, options=ApplyOptions(plan=True))
    assert outcome.output is None
    assert outcome.fit["weights"] == sum(entry["weights"] for entry in outcome.fit["matrices"].values())
    assert not list(own_folder.iterdir())


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"num_hidden_layers": 2}, "it lacks"), ({"intermediate_size": 96}, "another shape")],
)
def test_other_sizes_are_refused_even_when_forced(edited, tmp_path, changes, said):
    other = models.save_checkpoint(tmp_path / "other", models.tiny_config(**changes))
    with pytest.raises(DeltaMismatch, match=said):
        verbs.apply(edited, other, Destination(tmp_path / "out"), ApplyOptions(force=True))
    assert not (tmp_path / "out").exists()


def test_another_architecture_is_refused(edited, sharded, tmp_path):
    folder = shutil.copytree(sharded, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "mistral"}))
    with pytest.raises(DeltaMismatch, match="architecture is mistral, but the delta's base is llama"):
        verbs.apply(edited, folder, Destination(tmp_path / "out"))


def test_a_quantised_variant_is_refused(edited, sharded, tmp_path):
    folder = shutil.copytree(sharded, tmp_path / "packed")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(QuantisedCheckpoint, match="gptq"):
        verbs.apply(edited, folder, Destination(tmp_path / "out"))
