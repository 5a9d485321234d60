"""A half-precision model that computes in float32 has the bits of one that was loaded in float32."""

import architectures
import models
import pytest
import torch
from torch import nn

from spin_hub.checkpoint.index import read_index
from spin_hub.core.selection import Selection
from spin_hub.models import widening
from spin_hub.models.device import Placement
from spin_hub.models.edit import switched
from spin_hub.models.layers import decoder_layers
from spin_hub.models.load import load_model
from spin_hub.models.widening import HALF, load_running, load_widened, widen, widens
from spin_hub.scoring.choosing import make_engine
from spin_hub.scoring.engine import EngineConfig
from spin_hub.scoring.targets import find_targets

IDS = torch.arange(1, 20).unsqueeze(0)
CPU = torch.device("cpu")
FLOAT = Placement(CPU, torch.float32)


def logits(model: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=IDS, use_cache=False).logits


def float_twin(model: nn.Module) -> nn.Module:
    twin = type(model)(model.config).float().eval().requires_grad_(False)
    twin.load_state_dict({name: tensor.float() for name, tensor in model.state_dict().items()})
    return twin


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", architectures.CONFIGS)
def test_predictions_are_equal_bit_by_bit(name, dtype):
    model = architectures.model_of(name, dtype).eval().requires_grad_(False)
    twin = float_twin(model)
    assert widens(model)
    widen(model)
    found = logits(model)
    assert found.dtype == torch.float32
    assert torch.equal(found, logits(twin))
    with torch.inference_mode():
        written = [each.generate(IDS, max_new_tokens=4, do_sample=False) for each in (model, twin)]
    assert torch.equal(*written)


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "phi3"])
def test_scores_are_equal_bit_by_bit(name):
    model = architectures.model_of(name, torch.bfloat16).eval().requires_grad_(False)
    twin = float_twin(model)
    sets = {"one": architectures.examples_of(5)}
    expected = architectures.scored(make_engine("layerwise", twin, find_targets(twin, "all"), "float32").engine, sets)
    source = widen(model)
    choice = make_engine("layerwise", model, find_targets(model, "all"), "float32", EngineConfig(source))
    found = architectures.scored(choice.engine, sets)
    assert found.keys() == expected.keys()
    for key, matrix in expected.items():
        assert (found[key].indices == matrix.indices).all()
        assert (found[key].importance == matrix.importance).all()


def test_only_the_layer_in_use_is_wide_and_none_is_afterwards(sharded):
    model, source = load_widened(read_index(sharded), False)
    _, layers = decoder_layers(model)

    def wide() -> list[int]:
        return [n for n, layer in enumerate(layers) if any(p.dtype == torch.float32 for p in layer.parameters())]

    assert wide() == []
    with source.present(1, following=0):
        assert wide() == [1]
        with source.present(1):
            assert wide() == [1]
        assert wide() == [1]
    assert wide() == []
    with pytest.raises(KeyError), source.present(0):
        raise KeyError
    assert wide() == []
    assert all(parameter.dtype == torch.bfloat16 for parameter in model.parameters())


def test_weights_set_to_zero_are_zero_in_the_next_pass(sharded):
    index = read_index(sharded)
    model, _ = load_widened(index, False)
    twin = load_model(index, FLOAT, False)
    before = logits(model)
    name = find_targets(model, "mlp")[0].parameter
    edit = Selection({name: range(0, 200)})
    with switched(model, edit), switched(twin, edit):
        assert torch.equal(logits(model), logits(twin))
        assert not torch.equal(logits(model), before)
    assert torch.equal(logits(model), before)


def test_settled_weights_stay_wide_and_tied_ones_stay_one(sharded):
    model, source = load_widened(read_index(sharded), False)
    before = logits(model)
    source.settle()
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert torch.equal(logits(model), before)


def test_an_architecture_that_computes_otherwise_is_loaded_in_float32(sharded, monkeypatch):
    monkeypatch.setattr(widening, "widens", lambda _: False)
    model, source = load_widened(read_index(sharded), False)
    assert source.all_present
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


@pytest.mark.parametrize(("free", "dtype"), [(None, torch.float32), (1 << 40, torch.float32), (1000, torch.bfloat16)])
def test_a_model_for_passes_is_loaded_in_float32_only_where_it_fits(free, dtype, sharded, monkeypatch):
    monkeypatch.setattr(widening, "free_memory", lambda _: free)
    model = load_running(read_index(sharded), FLOAT, False)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert logits(model).dtype == torch.float32


def test_a_checkpoint_in_float32_is_loaded_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(widening, "free_memory", lambda _: 1000)
    folder = models.save_checkpoint(tmp_path / "model")
    assert load_running(read_index(folder), FLOAT, False).dtype == torch.float32
