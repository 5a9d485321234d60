"""An edit in a loaded model: on within the block, and off again bit by bit."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from spin_hub.core.selection import Selection
from spin_hub.errors import NotEditable
from spin_hub.models.edit import switched

UP, DOWN = "model.layers.0.mlp.up_proj.weight", "model.layers.3.mlp.down_proj.weight"
INTEGERS = {4: torch.int32, 2: torch.int16, 1: torch.uint8}


def bits(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: weight.detach().clone().view(INTEGERS[weight.element_size()]) for name, weight in model.named_parameters()
    }


def assert_same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), name


def selection(**positions: list[int]) -> Selection:
    names = {"up": UP, "down": DOWN}
    return Selection({names[name]: np.array(entries) for name, entries in positions.items()})


@pytest.fixture(params=[torch.float32, torch.bfloat16, torch.float16], ids=str)
def model(tiny, request):
    return AutoModelForCausalLM.from_pretrained(tiny, dtype=request.param)


def test_exactly_the_selected_weights_are_zero_within_the_block(model):
    before = bits(model)
    with switched(model, selection(up=[0, 33, 2047], down=[5])):
        within = bits(model)
    for name, array in selection(up=[0, 33, 2047], down=[5]):
        before[name].view(-1)[torch.tensor(array)] = 0
    assert_same(within, before)


def test_every_bit_is_back_after_the_block(model):
    # Minus zero, both infinities and NaNs with a payload of their own are where arithmetic would lose bits.
    special = torch.tensor([-0.0, float("inf"), float("-inf"), float("nan")]).to(model.dtype)
    weight = model.get_parameter(UP).detach().view(-1)
    weight[:4] = special
    integers = weight.view(INTEGERS[weight.element_size()])
    integers[4] = torch.iinfo(integers.dtype).max - 1
    before = bits(model)
    with switched(model, selection(up=[0, 1, 2, 3, 4, 100], down=[5])):
        assert not integers[:5].any()
    assert_same(bits(model), before)


def test_every_bit_is_back_after_an_exception(model):
    before = bits(model)
    with pytest.raises(KeyboardInterrupt), switched(model, selection(up=[1, 2])):
        raise KeyboardInterrupt
    assert_same(bits(model), before)


def test_nested_and_overlapping_blocks_come_off_one_by_one(model):
    before = bits(model)
    with switched(model, selection(up=[1, 2])):
        outer = bits(model)
        with switched(model, selection(up=[2, 3], down=[7])):
            assert not model.get_parameter(UP).detach().view(-1)[1:4].any()
        assert_same(bits(model), outer)
    assert_same(bits(model), before)


def test_two_names_of_one_tied_tensor(sharded):
    model = AutoModelForCausalLM.from_pretrained(sharded)
    before = bits(model)
    tied = {"model.embed_tokens.weight": np.array([1, 2]), "lm_head.weight": np.array([2, 3])}
    with switched(model, Selection(tied)):
        assert not model.get_parameter("lm_head.weight").detach().view(-1)[1:4].any()
    assert_same(bits(model), before)


def test_an_empty_selection_changes_nothing(model):
    before = bits(model)
    with switched(model, Selection({})):
        assert_same(bits(model), before)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_it_works_in_every_mode_of_autograd_and_on_weights_that_are_trained(tiny, mode):
    model = AutoModelForCausalLM.from_pretrained(tiny)
    before = bits(model)
    with mode(), switched(model, selection(up=[3])):
        assert float(model.get_parameter(UP).detach().view(-1)[3]) == 0
    assert model.get_parameter(UP).requires_grad
    assert_same(bits(model), before)


def test_gradients_are_refused_where_the_weights_have_changed_since(tiny):
    model = AutoModelForCausalLM.from_pretrained(tiny)
    ids = torch.arange(8)[None]
    with switched(model, selection(up=[3])):
        loss = model(input_ids=ids, labels=ids).loss
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def refused(model: nn.Module, name: str, position: int = 0) -> NotEditable:
    """The refusal of one bad name beside a good one, which must stay as it was."""
    good = next(name for name, weight in model.named_parameters() if weight.is_contiguous() and not weight.is_meta)
    before = model.get_parameter(good).detach().clone()
    with (
        pytest.raises(NotEditable) as caught,
        switched(model, Selection({good: np.array([0]), name: np.array([position])})),
    ):
        pytest.fail("the block must not be entered")
    assert torch.equal(model.get_parameter(good), before)
    assert caught.value.facts["what"] == name
    return caught.value


def test_a_position_outside_the_shape_is_refused(model):
    assert "(64, 32) does not hold the position 2048" in refused(model, UP, 2048).facts["why"]


def test_an_unknown_parameter_is_refused(model):
    assert "no such parameter" in refused(model, "model.layers.9.weight").facts["why"]
    assert "no such parameter" in refused(model, "model.layers.0.mlp").facts["why"]


@pytest.mark.parametrize(
    ("weight", "why"),
    [
        (torch.empty(4, 4, device="meta"), "not in memory"),
        (torch.ones(4, 4, dtype=torch.int8), "torch.int8, not floats"),
        (torch.ones(4, 3).t(), "row by row"),
    ],
    ids=["offloaded", "quantised", "transposed"],
)
def test_what_cannot_be_changed_in_place_is_refused(weight, why):
    model = nn.Module()
    model.good = nn.Parameter(torch.ones(3))
    model.odd = nn.Parameter(weight, requires_grad=False)
    assert why in refused(model, "odd").facts["why"]
