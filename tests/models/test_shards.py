import models
import pytest
import torch
from architectures import CONFIGS, SMALL, examples_of, random_model, scored
from safetensors.torch import load_file, save_file
from transformers import MixtralConfig

from spin_hub.checkpoint.index import read_index
from spin_hub.errors import ModelNotLoadable, UnsupportedModel
from spin_hub.models.device import Placement
from spin_hub.models.layers import ShardLayers, decoder_layers, hollow_map
from spin_hub.models.load import load_model, load_skeleton
from spin_hub.scoring.engine import EngineConfig
from spin_hub.scoring.layerwise import LayerwiseEngine
from spin_hub.scoring.targets import find_targets

CPU = torch.device("cpu")


def hollow(folder, dtype=torch.float32):
    index, where = read_index(folder), Placement(CPU, dtype)
    model = load_model(index, where, False, hollow_map(load_skeleton(index, False), CPU))
    return model, ShardLayers(model, index, where)


def devices(model):
    return [{weight.device.type for weight in layer.parameters()} for layer in decoder_layers(model)[1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["llama", "gpt2", "falcon"])
def test_it_scores_as_the_loaded_model_does(tmp_path, name, dtype):
    folder = models.save_checkpoint(tmp_path / "model", CONFIGS[name], torch.bfloat16, "40KB")
    sets = {"a": examples_of(4), "b": examples_of(2, seed=1)}
    loaded = load_model(read_index(folder), Placement(CPU, dtype), False)
    expected = scored(LayerwiseEngine(loaded, find_targets(loaded, "mlp")), sets)
    model, source = hollow(folder, dtype)
    found = scored(LayerwiseEngine(model, find_targets(model, "mlp"), config=EngineConfig(source)), sets)
    assert found.keys() == expected.keys()
    for key, matrix in found.items():
        assert (matrix.indices == expected[key].indices).all()
        assert (matrix.importance == expected[key].importance).all()
    assert devices(model) == 2 * [{"meta"}]


def test_a_layer_is_there_within_the_block_only(tiny):
    model, source = hollow(tiny)
    assert devices(model) == 4 * [{"meta"}]
    with source.present(2, following=1):
        assert devices(model) == [{"meta"}, {"meta"}, {"cpu"}, {"meta"}]
        weight = model.model.layers[2].mlp.up_proj.weight
        assert torch.equal(weight, load_file(tiny / "model.safetensors")["model.layers.2.mlp.up_proj.weight"])
        assert not weight.requires_grad
    with pytest.raises(ZeroDivisionError), source.present(1):
        raise ZeroDivisionError
    assert devices(model) == 4 * [{"meta"}]


def test_the_same_layer_twice_in_a_row_is_there_both_times(tiny):
    model, source = hollow(tiny)
    for following in (3, None):
        with source.present(3, following):
            assert devices(model)[3] == {"cpu"}


def test_a_layer_whose_weights_are_not_in_the_checkpoint_is_refused(tmp_path):
    folder = models.save_checkpoint(tmp_path / "model")
    model, _ = hollow(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["other"] = tensors.pop("model.layers.1.mlp.up_proj.weight")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelNotLoadable, match=r"layers\.1\.mlp\.up_proj"):
        ShardLayers(model, read_index(folder), Placement(CPU, torch.float32))


def test_a_layer_whose_weights_are_joined_in_memory_is_refused(tmp_path):
    config = MixtralConfig(**SMALL, num_local_experts=2)
    folder = models.save_checkpoint(tmp_path / "mixtral", config)
    with pytest.raises(UnsupportedModel, match="experts"):
        ShardLayers(random_model(config), read_index(folder), Placement(CPU, torch.float32))
