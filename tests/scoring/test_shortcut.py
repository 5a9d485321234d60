import pytest
import torch
from architectures import examples_of, model_of, scored
from torch import nn
from transformers.pytorch_utils import Conv1D

from spin_hub.errors import NotFinite
from spin_hub.scoring.hooks import last_map, without_value
from spin_hub.scoring.layerwise import LayerwiseEngine
from spin_hub.scoring.targets import find_targets


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(3, 3)

    def forward(self, inputs):
        return self.map(self.map(inputs))


def test_the_last_map_is_the_one_that_is_run_last():
    layer = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 3), nn.LayerNorm(3))
    assert last_map(layer, lambda: layer(torch.ones(1, 3))) == "2"
    assert not any(module._forward_hooks for module in layer.modules())


def test_a_map_that_is_used_twice_is_none():
    layer = Twice()
    assert last_map(layer, lambda: layer(torch.ones(1, 3))) is None
    assert last_map(nn.GELU(), lambda: None) is None


@pytest.mark.parametrize("module", [nn.Linear(3, 5), nn.Linear(3, 5, bias=False), Conv1D(5, 3)])
def test_its_gradient_is_right_and_its_value_is_no_number(module):
    layer = nn.ModuleDict({"map": module}).requires_grad_(False)
    inputs, gradient = torch.randn(2, 4, 3, requires_grad=True), torch.randn(2, 4, 5)
    (expected,) = torch.autograd.grad(module(inputs), inputs, gradient)
    with without_value(layer, "map"):
        output = module(inputs)
    (found,) = torch.autograd.grad(output, inputs, gradient)
    assert torch.equal(found, expected)
    assert output.isnan().all()
    assert module(inputs).isfinite().all()


@pytest.mark.parametrize("name", [None, "other", "1"])
def test_a_layer_without_such_a_map_is_left_alone(name):
    layer = nn.Sequential(nn.Linear(3, 4), nn.GELU())
    with without_value(layer, name):
        assert layer(torch.ones(1, 3)).isfinite().all()


def test_the_map_is_put_right_after_a_failure():
    layer = nn.Sequential(nn.Linear(3, 4))
    with pytest.raises(ZeroDivisionError), without_value(layer, "0"):
        raise ZeroDivisionError
    assert "forward" not in vars(layer[0])


@pytest.mark.parametrize("name", ["gemma2", "olmo2"])
def test_taken_where_it_is_wrong_it_is_never_silently_wrong(name):
    model = model_of(name)
    engine = LayerwiseEngine(model, find_targets(model, "mlp"), shortcut=True)
    with pytest.raises(NotFinite, match="gradient"):
        scored(engine, {"a": examples_of(2)})
