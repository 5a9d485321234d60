"""A model is asked whether it looks ahead, whatever it is called."""

import copy

import models
import pytest
import torch
from architectures import CONFIGS, model_of, random_model
from transformers import BertConfig, ElectraConfig, MixtralConfig, Qwen2MoeConfig, RobertaConfig, XLNetConfig

from spin_hub.errors import NotCausal, UnsupportedModel
from spin_hub.models.causal import check_is_causal
from spin_hub.models.load import shrunk

SMALL = {
    "vocab_size": 260,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
BOTH_WAYS = {
    "bert": BertConfig(**SMALL),
    "roberta": RobertaConfig(**SMALL),
    "electra": ElectraConfig(**SMALL, embedding_size=32),
    "xlnet": XLNetConfig(vocab_size=260, d_model=32, n_layer=2, n_head=4, d_inner=64),
}
EXPERTS = {
    "mixtral": MixtralConfig(**SMALL, num_key_value_heads=2, num_local_experts=4),
    "qwen2_moe": Qwen2MoeConfig(**SMALL, num_key_value_heads=2, num_experts=4, moe_intermediate_size=16),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", CONFIGS)
def test_causal_models_of_every_architecture_pass(name, dtype):
    check_is_causal(model_of(name, dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", EXPERTS)
def test_experts_that_get_other_tokens_are_no_look_ahead(name, dtype):
    check_is_causal(random_model(EXPERTS[name], dtype))


@pytest.mark.parametrize(("name", "dtype"), [*((name, torch.float32) for name in BOTH_WAYS), ("bert", torch.bfloat16)])
def test_models_that_look_both_ways_are_refused(name, dtype):
    with pytest.raises(NotCausal, match="a later token changes"):
        check_is_causal(random_model(BOTH_WAYS[name], dtype))


def test_a_small_model_of_its_kind_looks_ahead_too():
    with pytest.raises(NotCausal):
        check_is_causal(shrunk(random_model(BOTH_WAYS["bert"])))


@pytest.mark.parametrize("name", ["bert", "roberta", "electra"])
def test_a_decoder_of_these_passes(name):
    config = copy.deepcopy(BOTH_WAYS[name])
    config.is_decoder = True
    check_is_causal(random_model(config))


def test_a_mask_that_is_left_off_in_one_layer_is_seen(monkeypatch):
    model = random_model(models.tiny_config(num_hidden_layers=2))
    inner = model.model.layers[1].self_attn.forward
    zeros = torch.zeros(1, 1, 16, 16)
    monkeypatch.setattr(model.model.layers[1].self_attn, "is_causal", False)
    model.model.layers[1].self_attn.forward = lambda *args, **named: inner(*args, **{**named, "attention_mask": zeros})
    with pytest.raises(NotCausal):
        check_is_causal(model)


def test_a_model_without_finite_logits_is_left_to_the_loss():
    model = model_of("llama")
    model.lm_head.weight.data.fill_(torch.nan)
    check_is_causal(model)


def test_a_model_whose_pass_fails_is_refused():
    with pytest.raises(UnsupportedModel, match="XLNetLMHeadModel cannot be scored: a pass of 16 tokens"):
        check_is_causal(random_model(BOTH_WAYS["xlnet"], torch.bfloat16))
