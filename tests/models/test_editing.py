"""A delta in a loaded model: on, off, twice, nested, in other types, and where it does not fit."""

import models
import numpy as np
import pytest
import torch
from deltas_of import DOWN, UP, delta_of
from torch import nn
from transformers import AutoModelForCausalLM, GPT2Config

from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.errors import ModelChanged, NotEditable
from spin_hub.models.edit import applied, apply_, revert_

INTEGERS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}


def bits(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: weight.detach().clone().view(INTEGERS[weight.element_size()]) for name, weight in model.named_parameters()
    }


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def edited(before: dict[str, torch.Tensor], *deltas: Delta) -> dict[str, torch.Tensor]:
    """What the model's bits must be with these deltas in it."""
    after = {name: weight.clone() for name, weight in before.items()}
    for delta in deltas:
        for name, indices in delta.selection:
            after[name].view(-1)[torch.tensor(indices)] = 0
    return after


@pytest.fixture
def delta(tiny) -> Delta:
    return delta_of(tiny)


@pytest.fixture
def model(tiny):
    return AutoModelForCausalLM.from_pretrained(tiny)


def test_exactly_the_deltas_weights_are_zero_within_the_block(model, delta):
    before = bits(model)
    with applied(delta, model) as within:
        assert within is model
        assert same(bits(model), edited(before, delta))
    assert same(bits(model), before)


def test_one_object_is_entered_again_and_within_itself(model, delta):
    before = bits(model)
    switch = applied(delta, model)
    for _ in range(2):
        with switch:
            with switch, applied(delta, model):
                assert same(bits(model), edited(before, delta))
            assert same(bits(model), edited(before, delta))
        assert same(bits(model), before)


def test_overlapping_deltas_are_nested(model, delta, tiny):
    before, other = bits(model), delta_of(tiny, {UP: [70, 71]})
    with applied(delta, model):
        with applied(other, model):
            assert same(bits(model), edited(before, delta, other))
        assert same(bits(model), edited(before, delta))
    assert same(bits(model), before)


def test_every_bit_is_back_after_exceptions_on_several_levels(model, delta, tiny):
    before = bits(model)
    with pytest.raises(KeyboardInterrupt), applied(delta, model), applied(delta_of(tiny, {UP: [70, 71]}), model):
        raise KeyboardInterrupt
    assert same(bits(model), before)


def test_a_model_that_is_moved_and_converted_within_the_block_comes_out_whole(tiny, delta):
    model, other = (AutoModelForCausalLM.from_pretrained(tiny) for _ in range(2))
    with applied(delta, model):
        model.to(torch.bfloat16)
        for weight in model.parameters():
            weight.data = weight.data.clone()  # as moving to another device does
    assert same(bits(model), bits(other.to(torch.bfloat16)))


def test_a_parameter_that_is_lost_within_the_block_is_named_and_the_others_are_back(model, delta):
    before = bits(model)
    with pytest.raises(NotEditable, match=r"layers\.3\.mlp\.down_proj"), applied(delta, model):
        del model.model.layers[3]
    assert torch.equal(bits(model)[UP], before[UP])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_apply_and_revert_in_every_float_type(tiny, delta, dtype):
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=dtype)
    before = bits(model)
    apply_(delta, model)
    assert same(bits(model), edited(before, delta))
    revert_(delta, model)
    assert same(bits(model), before)


def test_apply_twice_is_apply_once_and_revert_of_the_base_is_nothing(model, delta):
    before = bits(model)
    revert_(delta, model)
    assert same(bits(model), before)
    assert apply_(delta, model) is delta
    apply_(delta, model)
    assert same(bits(model), edited(before, delta))
    revert_(delta, model)
    revert_(delta, model)
    assert same(bits(model), before)


def test_overlapping_deltas_are_reverted_in_any_order(model, delta, tiny):
    before, other = bits(model), delta_of(tiny, {UP: [70, 71]})
    apply_(delta, model)
    apply_(other, model)
    revert_(delta, model)
    revert_(other, model)
    assert same(bits(model), before)


@pytest.fixture
def tuned(tiny):
    """A fine-tune: all values moved, one became minus zero and one a NaN of its own."""
    model = AutoModelForCausalLM.from_pretrained(tiny)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 1e-3
        model.get_parameter(UP).view(-1)[3] = -0.0
        model.get_parameter(UP).view(-1).view(torch.int32)[70] = 0x7FC00123
    return model


def test_a_fine_tune_is_refused_and_nothing_is_changed(tuned, delta):
    before = bits(tuned)
    for verb in (apply_, revert_):
        with pytest.raises(ModelChanged, match="force=True") as caught:
            verb(delta, tuned)
        assert caught.value.facts["changed"] == caught.value.facts["weights"] == 5
        assert same(bits(tuned), before)


def test_by_force_a_fine_tune_is_edited_and_what_comes_back_reverts_it(tuned, delta):
    before = bits(tuned)
    own = apply_(delta, tuned, force=True)
    assert same(bits(tuned), edited(before, delta))
    assert own.base == BaseRef()
    assert own.selection == delta.selection
    revert_(own, tuned)
    assert same(bits(tuned), before)


def test_within_a_block_a_fine_tune_is_edited_without_asking(tuned, delta):
    before = bits(tuned)
    with applied(delta, tuned):
        assert same(bits(tuned), edited(before, delta))
    assert same(bits(tuned), before)


def test_weights_that_were_trained_after_the_edit_are_reverted_by_force_alone(model, delta):
    before = bits(model)
    apply_(delta, model)
    with torch.no_grad():
        model.get_parameter(DOWN).view(-1)[9] = 1
    with pytest.raises(ModelChanged, match=r"1 of the 5 weights .* in model\.layers\.3\.mlp"):
        revert_(delta, model)
    revert_(delta, model, force=True)
    assert same(bits(model), before)


def refused(delta: Delta, model: nn.Module, name: str) -> str:
    """Why all three verbs refuse; nothing may have changed."""
    before = {key: weight.detach().clone() for key, weight in model.named_parameters() if not weight.is_meta}
    for verb in (apply_, revert_, lambda delta, model: applied(delta, model).__enter__()):
        with pytest.raises(NotEditable) as caught:
            verb(delta, model)
        assert caught.value.facts["what"] == name
    assert all(torch.equal(model.get_parameter(key), weight) for key, weight in before.items())
    return caught.value.facts["why"]


def test_a_tensor_that_the_model_lacks(model, delta):
    edit = delta.edits[UP]
    more = Delta({**delta.edits, "model.layers.9.mlp.up_proj.weight": edit}, BaseRef(), {})
    assert "no such parameter" in refused(more, model, "model.layers.9.mlp.up_proj.weight")


def test_another_shape(model, delta):
    edit = delta.edits[UP]
    turned = TensorEdit(edit.shape[::-1], edit.dtype, edit.indices, edit.original)
    why = refused(Delta({**delta.edits, UP: turned}, BaseRef(), {}), model, UP)
    assert why == "its shape is (64, 32), the delta's (32, 64)"


def test_a_model_on_meta(tiny, delta):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(models.tiny_config())
    assert "meta" in refused(delta, model, min(delta.edits))


class Packed(nn.Module):
    """A quantised linear map without a float weight, as GPTQ has it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("qweight", torch.zeros(8, 4, dtype=torch.int32))


class Claims(torch.Tensor):
    """A tensor that claims to be of floats, as torchao's quantised ones do."""


def quantised(kind: str) -> tuple[nn.Module, str]:
    if kind == "packed":
        return Packed(), "a Packed, has no such parameter (it may be quantised"
    linear = nn.Linear(32, 64, bias=False)
    if kind == "bytes":
        linear.weight = nn.Parameter(torch.zeros(1024, 1, dtype=torch.uint8), requires_grad=False)
        return linear, "torch.uint8, not floats"
    linear.weight = nn.Parameter(torch.zeros(64, 32).as_subclass(Claims), requires_grad=False)
    return linear, "Claims, not a plain tensor"


@pytest.mark.parametrize("kind", ["packed", "bytes", "claims to be floats"])
def test_a_quantised_module_is_refused_by_name_and_others_are_exact(model, delta, tiny, kind):
    model.model.layers[0].mlp.up_proj, why = quantised(kind)
    assert why in refused(delta, model, UP)
    unquantised = delta_of(tiny, {DOWN: [0, 9]})
    before = model.get_parameter(DOWN).detach().clone()
    with applied(unquantised, model):
        assert not model.get_parameter(DOWN).view(-1)[[0, 9]].any()
    assert torch.equal(model.get_parameter(DOWN), before)


def test_a_model_of_float8_is_edited_bit_by_bit(model, delta):
    model.model.layers[0].mlp.up_proj.weight = nn.Parameter(
        model.get_parameter(UP).detach().to(torch.float8_e4m3fn), requires_grad=False
    )
    before = bits(model)
    with applied(delta, model):
        assert same(bits(model), edited(before, delta))
    apply_(delta, model)
    revert_(delta, model)
    assert same(bits(model), before)


def test_a_model_that_was_loaded_in_inference_mode(tiny, delta):
    with torch.inference_mode():
        model = AutoModelForCausalLM.from_pretrained(tiny)
        for module in model.modules():
            for name, weight in list(module._parameters.items()):
                if weight is not None:
                    module._parameters[name] = nn.Parameter(weight.clone(), requires_grad=False)
        before = bits(model)
    with applied(delta, model):
        assert same(bits(model), edited(before, delta))
    assert same(bits(model), before)


def test_an_empty_delta_changes_nothing(model):
    before, empty = bits(model), Delta({}, BaseRef(), {})
    assert apply_(empty, model) is empty
    with applied(empty, model):
        revert_(empty, model)
    assert same(bits(model), before)


def test_names_that_transformers_changes_as_it_loads(tmp_path):
    config = GPT2Config(vocab_size=260, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    folder = models.save_checkpoint(tmp_path / "gpt2", config)
    inner = AutoModelForCausalLM.from_pretrained(folder).transformer
    inner.save_pretrained(folder)  # as the Hub's gpt2 is: without the prefix
    delta = delta_of(folder, {"h.1.mlp.c_fc.weight": [5, 600]})
    model = AutoModelForCausalLM.from_pretrained(folder)
    before = bits(model)
    apply_(delta, model)
    changed = [name for name, weight in bits(model).items() if not torch.equal(weight, before[name])]
    assert changed == ["transformer.h.1.mlp.c_fc.weight"]
    revert_(delta, model)
    assert same(bits(model), before)


def test_the_originals_of_another_type_are_rounded_as_in_loading(tiny, delta):
    values = np.array([1 + 2**-8, 1 + 3 * 2**-9, 1e-45, -0.0, 3.4e38], np.float32)
    edit = TensorEdit((64, 32), "F32", np.arange(5), values.view(np.uint8).reshape(5, 4))
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.bfloat16)
    revert_(Delta({UP: edit}, BaseRef(), {}), model, force=True)
    expected = torch.from_numpy(values).to(torch.bfloat16)
    found = model.get_parameter(UP).detach().view(-1)[:5]
    assert torch.equal(found.view(torch.int16), expected.view(torch.int16))
