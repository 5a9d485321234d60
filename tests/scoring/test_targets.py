import models
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, MixtralConfig

from spin_hub.errors import NoTarget, UnsupportedModel
from spin_hub.scoring.targets import find_targets


def llama():
    return AutoModelForCausalLM.from_config(models.tiny_config(num_hidden_layers=2))


def names(model: torch.nn.Module, target: str) -> set[str]:
    return {entry.parameter.removeprefix("model.layers.") for entry in find_targets(model, target)}


def test_parts_of_a_decoder_layer():
    model = llama()
    mlp = {f"{layer}.mlp.{name}.weight" for layer in (0, 1) for name in ("gate_proj", "up_proj", "down_proj")}
    attention = {f"{layer}.self_attn.{name}_proj.weight" for layer in (0, 1) for name in "qkvo"}
    assert names(model, "mlp") == mlp
    assert names(model, "self_attn") == attention
    assert names(model, "all") == mlp | attention


def test_patterns_are_globs_over_whole_names():
    assert names(llama(), "*.1.mlp.*") == {f"1.mlp.{name}_proj.weight" for name in ("gate", "up", "down")}


def test_head_and_embeddings_never_take_part():
    with pytest.raises(NoTarget, match="lm_head"):
        find_targets(llama(), "lm_head.weight")


def test_conv1d_weights_are_known_as_transposed():
    model = AutoModelForCausalLM.from_config(GPT2Config(vocab_size=260, n_embd=32, n_layer=2, n_head=4))
    assert {entry.transposed for entry in find_targets(model, "mlp")} == {True}
    assert "transformer.h.0.mlp.c_fc.weight" in {entry.parameter for entry in find_targets(model, "mlp")}


def test_fused_experts_are_refused_and_routers_left_out():
    config = MixtralConfig(
        vocab_size=260, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=2,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(UnsupportedModel, match="experts"):
        find_targets(model, "mlp")
    assert len(find_targets(model, "self_attn")) == 8


def test_a_model_without_decoder_layers_is_refused():
    model = llama()
    model.model.layers = torch.nn.ModuleList(list(model.model.layers)[:1])
    with pytest.raises(UnsupportedModel, match="decoder layers"):
        find_targets(model, "mlp")
