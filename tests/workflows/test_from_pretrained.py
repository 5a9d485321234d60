"""load_delta and from_pretrained from files and folders; tests/hub has them from a Hub."""

import models
import pytest
import torch
import verbs
from deltas_of import UP, delta_of
from transformers import AutoModelForCausalLM

import spin_hub
from spin_hub.artifacts.delta_file import write_delta
from spin_hub.errors import ArtefactNotFound, ModelChanged, NotEditable, SpinHubError
from spin_hub.recipe import Destination


@pytest.fixture
def file(tiny, tmp_path):
    write_delta(tmp_path / "delta.safetensors", delta_of(tiny))
    return tmp_path / "delta.safetensors"


def test_load_delta_takes_files_folders_and_edited_models(tiny, file, tmp_path):
    verbs.apply(file, str(tiny), Destination(tmp_path / "edited"))
    for ref in (file, str(file), tmp_path / "edited", tmp_path / "edited" / "spin"):
        assert spin_hub.load_delta(ref).selection == delta_of(tiny).selection
    with pytest.raises(ArtefactNotFound):
        spin_hub.load_delta(tmp_path / "nothing")


def test_the_model_is_the_base_with_the_delta_in_it(tiny, file):
    model = spin_hub.from_pretrained(file, base=tiny)
    base = AutoModelForCausalLM.from_pretrained(tiny)
    spin_hub.apply_(delta_of(tiny), base)
    for name, weight in base.named_parameters():
        assert torch.equal(model.get_parameter(name), weight), name
    spin_hub.revert_(delta_of(tiny), model)
    assert model.get_parameter(UP).view(-1)[3] != 0


def test_options_go_to_transformers(tiny, file):
    model = spin_hub.from_pretrained(file, base=tiny, dtype=torch.bfloat16, device_map={"": "cpu"})
    assert model.dtype == torch.bfloat16
    assert not model.get_parameter(UP).view(-1)[[3, 70, 2000]].any()
    model, report = spin_hub.from_pretrained(file, base=tiny, output_loading_info=True)
    assert not report["missing_keys"]
    assert not model.get_parameter(UP).view(-1)[[3, 70, 2000]].any()


def test_a_local_base_must_be_named(file):
    with pytest.raises(SpinHubError, match="base=FOLDER"):
        spin_hub.from_pretrained(file)


def test_another_base_is_refused(file, tmp_path):
    same_shapes = models.save_checkpoint(tmp_path / "other", seed=1)
    with pytest.raises(ModelChanged):
        spin_hub.from_pretrained(file, base=same_shapes)
    wider = models.save_checkpoint(tmp_path / "wider", models.tiny_config(intermediate_size=96))
    with pytest.raises(NotEditable, match=r"\(96, 32\)"):
        spin_hub.from_pretrained(file, base=wider)
