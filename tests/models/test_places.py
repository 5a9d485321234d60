"""Models that accelerate offloads: edited where their weights are kept, exactly, without a file being written."""

import pytest
import torch
from accelerate import cpu_offload, disk_offload, dispatch_model
from accelerate.hooks import AlignDevicesHook, add_hook_to_module, remove_hook_from_submodules
from deltas_of import DOWN, UP, delta_of
from transformers import AutoModelForCausalLM

from spin_hub.core.delta import Delta
from spin_hub.errors import NotEditable
from spin_hub.models.edit import applied, apply_, revert_
from spin_hub.models.parameters import Overlay

IDS = torch.arange(12)[None]
MAP = {"model.embed_tokens": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits.clone()


def loaded(tiny):
    return AutoModelForCausalLM.from_pretrained(tiny)


def by_map(tiny, *kinds: str):
    return AutoModelForCausalLM.from_pretrained(
        tiny, device_map=MAP | {f"model.layers.{number}": kinds[number % len(kinds)] for number in range(4)}
    )


def with_hooks(tiny):
    """As a model that is shared out over several accelerators."""
    device_map = MAP | {f"model.layers.{number}": "cpu" for number in range(4)}
    return dispatch_model(loaded(tiny), device_map, main_device="cpu", force_hooks=True)


OFFLOADED = {
    "to memory": lambda tiny, folder: cpu_offload(loaded(tiny), torch.device("cpu")),
    "to memory, with a state of its own": lambda tiny, folder: cpu_offload(
        loaded(tiny), torch.device("cpu"), state_dict={k: v.clone() for k, v in loaded(tiny).state_dict().items()}
    ),
    "to the disk": lambda tiny, folder: disk_offload(loaded(tiny), folder, torch.device("cpu")),
    "by a device map to the disk": lambda tiny, folder: by_map(tiny, "disk"),
    "half of it to the disk": lambda tiny, folder: by_map(tiny, "cpu", "disk"),
    "with hooks and not offloaded": lambda tiny, folder: with_hooks(tiny),
}


@pytest.fixture(params=OFFLOADED)
def model(request, tiny, tmp_path):
    return OFFLOADED[request.param](tiny, tmp_path / "offloaded")


@pytest.fixture
def delta(tiny) -> Delta:
    return delta_of(tiny)


@pytest.fixture
def expected(tiny, delta) -> torch.Tensor:
    """The logits of a model that is edited in memory."""
    model = loaded(tiny)
    apply_(delta, model)
    return logits(model)


def test_offloaded_models_are_edited_where_their_weights_are_kept(model, delta, expected, tiny):
    before, file = logits(model), (tiny / "model.safetensors").read_bytes()
    assert not torch.equal(before, expected)
    with applied(delta, model):
        assert torch.equal(logits(model), expected)
        with applied(delta_of(tiny, {UP: [70, 71]}), model):
            assert not torch.equal(logits(model), expected)
        assert torch.equal(logits(model), expected)
    assert torch.equal(logits(model), before)
    apply_(delta, model)
    apply_(delta, model)
    assert torch.equal(logits(model), expected)
    revert_(delta, model)
    assert torch.equal(logits(model), before)
    assert (tiny / "model.safetensors").read_bytes() == file


def test_a_model_that_is_brought_back_from_memory_within_the_block_comes_out_whole(tiny, delta, expected):
    model = cpu_offload(loaded(tiny), torch.device("cpu"))
    before = logits(model)
    with applied(delta, model):
        remove_hook_from_submodules(model)
        assert torch.equal(logits(model), expected)
    assert torch.equal(logits(model), before)


def test_offloaded_parameters_that_are_tied_are_refused(sharded, tmp_path):
    delta = delta_of(sharded, {"model.embed_tokens.weight": [1, 2], UP: [3]})
    model = cpu_offload(loaded(sharded), torch.device("cpu"))
    with pytest.raises(NotEditable, match="tied"):
        apply_(delta, model)
    apply_(delta, loaded(sharded))


def test_parameters_on_meta_without_a_hook_are_refused(tiny, delta):
    model = loaded(tiny)
    model.model.layers[3].mlp.down_proj.to("meta")
    with pytest.raises(NotEditable, match="device meta") as caught:
        apply_(delta, model)
    assert caught.value.facts["what"] == DOWN


def test_an_overlay_reads_through_until_something_is_replaced():
    inner = {"a": torch.arange(4.0), "b": torch.ones(2, 2)}
    overlay = Overlay(inner)
    assert overlay["a"] is inner["a"]
    overlay.replace("a", torch.tensor([1, 3]), torch.tensor([0, 0], dtype=torch.int32))
    overlay.replace("a", torch.tensor([3]), torch.tensor([5.0]).view(torch.int32))
    assert overlay["a"].tolist() == [0, 0, 2, 5]
    assert inner["a"].tolist() == [0, 1, 2, 3]
    assert (list(overlay), len(overlay)) == (["a", "b"], 2)


def test_a_parameter_that_the_hook_of_a_module_above_brings_in(tiny, delta, expected):
    model = loaded(tiny)
    layer = model.model.layers[0]
    hook = AlignDevicesHook(execution_device=torch.device("cpu"), offload=True, place_submodules=True)
    add_hook_to_module(layer, hook)
    assert model.get_parameter(UP).is_meta
    with applied(delta, model):
        assert torch.equal(logits(model), expected)
