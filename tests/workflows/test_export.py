"""What export writes, says and refuses."""

import json
import re
import shutil

import architectures
import models
import numpy as np
import pytest
import torch
import verbs
from making import delta_file, delta_of
from transformers import AutoModelForCausalLM

import spin_hub
from spin_hub.artifacts.delta_file import read_delta, write_delta
from spin_hub.checkpoint.index import read_index
from spin_hub.core.delta import TensorEdit
from spin_hub.errors import (
    AdapterRefused,
    DeltaMismatch,
    OutputExists,
    OutputNotAllowed,
    RankTooLarge,
    SpinHubError,
    UsageError,
)
from spin_hub.kinds import exported, kind_of
from spin_hub.progress import SILENT
from spin_hub.recipe import Destination, ScoringRecipe, SelectionRecipe
from spin_hub.workflows.edit import EditRequest


class Notes(list):
    """A reporter that keeps what it is told."""

    def task(self, *_):
        return SILENT.task(*_)

    note = status = list.append


@pytest.fixture(scope="module")
def delta(tiny, tmp_path_factory):
    """Every module has some touched weights, of a rank that servers take."""
    return delta_file(tiny, tmp_path_factory.mktemp("delta") / "delta.safetensors")


@pytest.fixture(scope="module")
def recorded(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded") / "delta"
    selection = SelectionRecipe(p=1e-2, q=1e-1)
    spin_hub.edit(EditRequest(str(tiny), ScoringRecipe(samples=3), selection, "delta", Destination(folder), None))
    return folder


def export(delta, form, base, reporter=SILENT, **more):
    return spin_hub.export(spin_hub.ExportRequest(str(delta), str(base), form=form, **more), reporter)


def test_a_folder_holds_the_adapter_its_card_and_the_delta(recorded, tiny):
    outcome = export(recorded, "peft", tiny)
    files = {path.relative_to(outcome.output).as_posix() for path in outcome.output.rglob("*") if path.is_file()}
    spin = {"spin/spin_delta.safetensors", "spin/spin.json", "spin/heat-map.png"}
    assert files == {"README.md", "adapter_config.json", "adapter_model.safetensors", *spin}
    assert str(outcome.output) == "tiny-peft"
    assert spin_hub.inspect(outcome.output).kind == "peft"
    there, here = (
        read_delta(recorded / "spin_delta.safetensors"),
        read_delta(outcome.output / "spin/spin_delta.safetensors"),
    )
    assert (there.selection, there.base) == (here.selection, here.base)


def test_no_file_names_a_local_path(recorded, tiny):
    outcome = export(recorded, "lora", tiny)
    assert json.loads((outcome.output / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"
    for name in ("adapter_config.json", "README.md", "spin/spin.json"):
        assert str(tiny.parent) not in (outcome.output / name).read_text()


def test_the_card_says_what_the_adapter_is_right_for_and_how_exact_it_is(recorded, tiny):
    for form in ("peft", "lora"):
        outcome = export(recorded, form, tiny)
        card = (outcome.output / "README.md").read_text()
        assert "library_name: peft" in card
        assert "**Right for this exact base only.**" in card
        assert "| merged into the base | exact" in card
        assert ("bit by bit |" in card) == (form == "peft")
        assert "\n\n## What it does" in card
        spin_hub.card(outcome.output)
        assert (outcome.output / "README.md").read_text() == card


def test_rank_and_size_are_said_and_an_unmerged_lora_is_measured(recorded, tiny):
    notes = Notes()
    outcome = export(recorded, "lora", tiny, notes)
    adapter = outcome.to_json()["adapter"]
    assert f"LORA of rank {adapter['rank']}" in notes[0]
    assert 0 < adapter["unmerged"]["mean"] < adapter["unmerged"]["largest"] < adapter["unmerged"]["logit"]
    card = (outcome.output / "README.md").read_text()
    assert f"off by {adapter['unmerged']['largest']:.4g} at most" in card
    unmeasured = export(recorded, "lora", tiny, measure=False, destination=Destination(None, overwrite=True))
    assert unmeasured.record.adapter["unmerged"] is None
    assert "by how much was not measured" in (unmeasured.output / "README.md").read_text()


def test_equal_requests_give_equal_files(recorded, tiny):
    one, two = (export(recorded, "lora", tiny, destination=Destination(tiny.parent / name)).output for name in "ab")
    for path in one.rglob("*.*"):
        assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()
    shutil.rmtree(one)
    shutil.rmtree(two)


@pytest.fixture
def check(recorded, tiny):
    """The check that the card tells people to run on a loaded base."""
    outcome = export(recorded, "peft", tiny)
    code = next(
        block for block in re.findall(r"```python\n(.*?)```", (outcome.output / "README.md").read_text(), re.DOTALL)
        if "assert" in block
    )  # fmt: skip
    return lambda folder: exec(
        code.replace('"spin/', f'"{outcome.output}/spin/'), {"base": AutoModelForCausalLM.from_pretrained(folder)}
    )


def test_the_cards_check_accepts_the_base_and_finds_another_commit(check, tiny, tmp_path):
    check(tiny)
    with pytest.raises(AssertionError, match="mlp"):
        check(models.save_checkpoint(tmp_path / "later", seed=1))


def test_without_a_recorded_base_one_must_be_named(delta):
    with pytest.raises(UsageError, match="name the --base"):
        spin_hub.export(spin_hub.ExportRequest(str(delta), form="peft"))


def test_another_base_is_refused(delta, tiny, tmp_path):
    other = models.save_checkpoint(tmp_path / "other", seed=1)
    with pytest.raises(SpinHubError, match="other values"):
        export(delta, "peft", other)
    edited = verbs.apply(delta, tiny, Destination(tmp_path / "edited")).output
    with pytest.raises(SpinHubError, match="holds the edit already"):
        export(delta, "peft", edited)
    cast = models.save_checkpoint(tmp_path / "cast", dtype=torch.bfloat16)
    with pytest.raises(DeltaMismatch, match="BF16"):
        export(delta, "peft", cast)


def test_an_edited_model_is_exported_for_its_base_and_an_adapter_again(delta, tiny, tmp_path):
    edited = verbs.apply(delta, tiny, Destination(tmp_path / "edited")).output
    first = export(edited, "lora", tiny, measure=False)
    again = export(first.output, "peft", tiny)
    assert again.record.result == first.record.result


def test_a_large_rank_needs_yes(tmp_path):
    config = models.tiny_config(hidden_size=128, intermediate_size=128, num_hidden_layers=1)
    base = models.save_checkpoint(tmp_path / "base", config)
    path = delta_file(base, tmp_path / "delta.safetensors", share=0.2)
    with pytest.raises(RankTooLarge, match="above 64"):
        export(path, "lora", base)
    assert not (tmp_path / "base-lora").exists()
    assert export(path, "lora", base, yes=True, measure=False).record.adapter["rank"] > 64
    assert export(path, "peft", base).output.is_dir()


def test_a_weight_that_is_not_finite_is_refused(delta, tiny, tmp_path):
    known = read_delta(delta)
    name, edit = next(iter(known.edits.items()))
    folder = shutil.copytree(tiny, tmp_path / "base")
    index = read_index(folder)
    place = index.tensors[name]
    with (folder / place.shard).open("r+b") as file:
        file.seek(place.span.start + 4 * int(edit.indices[0]))
        file.write(np.float32("inf").tobytes())
    broken = TensorEdit(edit.shape, edit.dtype, edit.indices, index.raw(name, edit.indices))
    write_delta(tmp_path / "delta.safetensors", type(known)({**known.edits, name: broken}, known.base, known.method))
    with pytest.raises(AdapterRefused, match="not finite"):
        export(tmp_path / "delta.safetensors", "peft", folder)


def test_a_quantised_base_is_refused(delta, tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "fp8")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "fp8"}}))
    with pytest.raises(AdapterRefused, match="quantised"):
        export(delta, "lora", folder)


def test_a_config_of_another_type_ends_with_a_warning(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    outcome = export(delta_file(folder, tmp_path / "d.safetensors"), "lora", folder, measure=False)
    assert "load it with dtype=float32" in outcome.warnings[0]
    assert not export(delta_file(tiny, tmp_path / "d.safetensors"), "peft", tiny).warnings


@pytest.mark.parametrize(
    "wrong",
    [{"form": "lora", "peft_type": "shira"}, {"form": "peft", "all_layers": True}, {"form": "peft", "measure": True}],
)
def test_options_that_contradict_are_refused(wrong):
    with pytest.raises(UsageError):
        spin_hub.ExportRequest("delta", **wrong)


def test_the_output_is_neither_replaced_nor_put_into_an_input(delta, tiny):
    export(delta, "peft", tiny)
    with pytest.raises(OutputExists):
        export(delta, "peft", tiny)
    with pytest.raises(OutputNotAllowed):
        export(delta, "peft", tiny, destination=Destination(tiny / "adapter"))
    assert export(delta, "peft", tiny, destination=Destination(None, overwrite=True)).output.is_dir()


def test_a_hub_base_is_named_with_its_commit(tiny, tmp_path):
    known = delta_of(tiny)
    base = type(known.base)("org/tiny", "c" * 40, known.base.files)
    write_delta(tmp_path / "delta.safetensors", type(known)(known.edits, base, known.method))
    outcome = export(tmp_path / "delta.safetensors", "peft", tiny)
    config = json.loads((outcome.output / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("org/tiny", "c" * 40)
    card = (outcome.output / "README.md").read_text()
    assert "base_model: org/tiny" in card
    assert "base_model_relation: adapter" in card
    assert f'from_pretrained("org/tiny", revision="{"c" * 40}")' in card


@pytest.mark.parametrize("form", exported())
def test_edit_writes_what_export_writes_of_its_delta(tmp_path, tiny, form):
    request = {
        "model": str(tiny), "scoring": ScoringRecipe(samples=2), "selection": SelectionRecipe(p=5e-2, q=1e-1),
        "limits": None,
    }  # fmt: skip
    spin_hub.edit(spin_hub.EditRequest(**request, kind="delta", destination=Destination(tmp_path / "delta")))
    done = spin_hub.edit(
        spin_hub.EditRequest(**request, kind=form, anyway=True, destination=Destination(tmp_path / "edited"))
    )
    made = export(tmp_path / "delta", form, tiny, destination=Destination(tmp_path / "exported"), yes=True)
    assert done.record.kind == form
    assert done.record.adapter == made.record.adapter
    for name in (*kind_of(form).files, "spin/spin_delta.safetensors"):
        assert (tmp_path / "edited" / name).read_bytes() == (tmp_path / "exported" / name).read_bytes()


def test_edit_refuses_what_no_adapter_can_hold_before_anything_is_scored(tmp_path, monkeypatch):
    from spin_hub.workflows import edit as workflow

    monkeypatch.setattr(workflow, "score_prepared", lambda *_: pytest.fail("it was scored"))
    folder = models.save_checkpoint(tmp_path / "gpt2", architectures.CONFIGS["gpt2"])
    request = spin_hub.EditRequest(
        str(folder), ScoringRecipe(samples=2), SelectionRecipe(p=5e-2, q=1e-1), kind="peft", limits=None,
        destination=Destination(tmp_path / "out"),
    )  # fmt: skip
    with pytest.raises(AdapterRefused, match="Conv1D"):
        spin_hub.edit(request)
    assert not (tmp_path / "out").exists()
