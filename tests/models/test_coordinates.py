import models
import pytest
import torch
from architectures import CONFIGS
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, MixtralConfig

from spin_hub.checkpoint.index import read_index
from spin_hub.errors import CoordinatesDiffer, NotEditable
from spin_hub.models.coordinates import check_identity, coordinates, parameter_of
from spin_hub.models.load import load_skeleton

NAME = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def weight(tiny):
    return load_file(tiny / "model.safetensors")[NAME]


def test_equal_values_pass_also_in_another_precision(tiny, weight):
    check_identity(read_index(tiny), NAME, weight)
    check_identity(read_index(tiny), NAME, weight.bfloat16())


def test_one_bit_is_seen(tiny, weight):
    weight.view(torch.int32)[0, 0] ^= 1
    with pytest.raises(CoordinatesDiffer, match="values"):
        check_identity(read_index(tiny), NAME, weight)


def test_minus_zero_is_not_zero(tiny, weight):
    with pytest.raises(CoordinatesDiffer, match="values"):
        check_identity(read_index(tiny), NAME, torch.zeros_like(weight).neg())


def test_names_shapes_and_types_are_checked(tiny, weight):
    with pytest.raises(CoordinatesDiffer, match="name"):
        check_identity(read_index(tiny), "ghost.weight", weight)
    with pytest.raises(CoordinatesDiffer, match="shape"):
        check_identity(read_index(tiny), NAME, weight.T)


def test_names_of_a_model_that_is_loaded_as_it_lies_on_the_disk(tiny):
    model = AutoModelForCausalLM.from_pretrained(tiny)
    assert [parameter_of(model, name) for name in load_file(tiny / "model.safetensors")] == list(
        load_file(tiny / "model.safetensors")
    )
    assert parameter_of(model, "nothing.of.the.kind") == "nothing.of.the.kind"


def test_a_name_that_transformers_changes_is_found_and_what_it_joins_is_refused(tmp_path):
    config = MixtralConfig(
        vocab_size=260, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=2, max_position_embeddings=64,
    )  # fmt: skip
    folder = models.save_checkpoint(tmp_path / "mixtral", config)
    model = AutoModelForCausalLM.from_pretrained(folder)
    state = load_file(folder / "model.safetensors")
    gate, expert = (f"model.layers.0.block_sparse_moe.{name}.weight" for name in ("gate", "experts.1.w3"))
    assert gate in state and expert in state
    assert parameter_of(model, gate) == "model.layers.0.mlp.gate.weight"
    assert torch.equal(model.get_parameter(parameter_of(model, gate)), state[gate])
    with pytest.raises(NotEditable, match=r"a part of model\.layers\.0\.mlp\.experts\.gate_up_proj"):
        parameter_of(model, expert)


def test_masks_that_older_files_of_gpt2_hold_are_not_read(tmp_path):
    config = GPT2Config(vocab_size=260, n_embd=32, n_layer=1, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2)
    folder = models.save_checkpoint(tmp_path / "gpt2", config)
    tensors = load_file(folder / "model.safetensors")
    masks = {"transformer.h.0.attn.bias": torch.ones(1, 1, 128, 128), "transformer.h.0.attn.masked_bias": torch.ones(1)}
    save_file({**tensors, **masks}, folder / "model.safetensors", {"format": "pt"})
    found = coordinates(load_skeleton(read_index(folder), False), read_index(folder))
    assert found.aside == ()
    assert set(found.tensors.values()) == set(tensors)


def test_a_joined_parameter_is_filled_and_has_no_tensor_of_its_own(tmp_path):
    config = MixtralConfig(
        vocab_size=260, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=2, max_position_embeddings=64,
    )  # fmt: skip
    folder = models.save_checkpoint(tmp_path / "mixtral", config)
    found = coordinates(load_skeleton(read_index(folder), False), read_index(folder))
    assert found.tensor("model.layers.0.mlp.gate.weight") == "model.layers.0.block_sparse_moe.gate.weight"
    with pytest.raises(CoordinatesDiffer, match="joins"):
        found.tensor("model.layers.0.mlp.experts.gate_up_proj")


def test_every_architecture_is_accounted_for_without_weights(tmp_path):
    for name, config in CONFIGS.items():
        folder = models.save_checkpoint(tmp_path / name, config)
        index = read_index(folder)
        found = coordinates(load_skeleton(index, False), index)
        assert set(found.tensors.values()) == set(index.tensors), name
