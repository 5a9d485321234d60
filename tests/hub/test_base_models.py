import json
import math

import models
import numpy as np
import pytest

from spin_hub.checkpoint.compat import Fit
from spin_hub.hub.base_models import (
    UNRELATED,
    Lineage,
    Link,
    architecture_difference,
    config_differences,
    unrelated,
)

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 32000, "rope_theta": 10000.0}


def fit(*drifts: float) -> Fit:
    return Fit(weights=len(drifts), drifts=np.array(drifts), moved=np.ones(len(drifts), bool), matrices=())


def test_a_chain_begins_with_a_variant_of_the_hub():
    links = (Link("org/chat", "org/chat", "me/mine", "finetune"), Link("org/base", "org/old", "org/chat"))
    assert Lineage("me/mine", links).chain == ("me/mine", "org/chat", "org/base")
    assert Lineage(None, links).chain == ("org/chat", "org/base")
    assert Lineage().chain == ()


@pytest.mark.parametrize(
    ("base", "linked"),
    [
        (("org/base",), True), (("ORG/Base",), True), (("org/old",), True), (("me/mine",), True), ((), False),
        (("org/other",), False), (("base",), False), (("org/base2",), False), (("org/other", "org/base"), True),
    ],
)  # fmt: skip
def test_a_variant_is_linked_to_its_ancestors_by_any_of_their_names(base, linked):
    lineage = Lineage("me/mine", (Link("Org/base", "org/Old", "me/mine"),), base)
    assert lineage.linked is linked
    assert lineage.to_json()["linked"] is linked


def test_plain_values_are_json():
    differences = (("rope_parameters.factor", None, 2.0), ("limit", math.inf, [0.0, -math.inf]))
    lineage = Lineage("me/mine", (Link("org/base", "org/base", "me/mine", "merge"),), ("org/base",), "offline")
    plain = Lineage(lineage.variant, lineage.links, lineage.base, "offline", differences).to_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == {
        "chain": ["me/mine", "org/base"],
        "links": [{"model": "org/base", "of": "me/mine", "relation": "merge"}],
        "linked": True,
        "ended": "offline",
        "architecture": None,
        "config_differences": [
            {"key": "rope_parameters.factor", "base": None, "variant": 2.0},
            {"key": "limit", "base": "inf", "variant": [0.0, "-inf"]},
        ],
        "unknown": None,
    }
    assert lineage.to_json()["config_differences"] is None


def test_only_a_large_drift_without_a_link_is_unrelated():
    linked = Lineage(None, (Link("org/base", "org/base"),), ("org/base",))
    alone = Lineage(None, (), ("org/base",))
    assert unrelated(alone, fit(0.1, 0.6, 0.7)) == (
        "no card links it to org/base, and the touched weights differ from the base's by 60% in the median "
        "(at most 50% without a link)"
    )
    assert unrelated(linked, fit(0.1, 0.6, 0.7)) is None
    assert unrelated(alone, fit(0.1, 0.4, 0.7)) is None
    assert unrelated(alone, fit(UNRELATED)) is None
    assert unrelated(alone, fit()) is None


def test_without_a_name_or_with_an_endless_drift_there_are_words_too():
    said = unrelated(Lineage(), fit(math.inf))
    assert "links it to the delta's base" in said
    assert "by more than any number" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"architectures": ["LLaMAForCausalLM"]}, None),
        ({"architectures": ["LlamaForCausalLM", "Other"]}, None),
        ({"architectures": None}, None),
        ({"architectures": 3, "model_type": 3}, None),
        ({"model_type": "mistral"}, "its architecture is mistral, but the delta's base is llama"),
        (
            {"architectures": ["LlamaForSequenceClassification"]},
            "its architecture is LlamaForSequenceClassification, but the delta's base is LlamaForCausalLM",
        ),
    ],
)
def test_architectures_differ_by_type_or_class(change, said):
    assert architecture_difference(LLAMA, {**LLAMA, **change}) == said
    assert architecture_difference({}, {**LLAMA, **change}) is None


def test_a_config_does_not_differ_from_itself():
    config = models.tiny_config().to_dict()
    assert config_differences(config, config) == ()


def test_what_differs_is_named_with_both_values():
    base = models.tiny_config().to_dict()
    variant = models.tiny_config(vocab_size=300, num_hidden_layers=5).to_dict()
    assert config_differences(base, variant) == (("num_hidden_layers", 4, 5), ("vocab_size", 260, 300))


@pytest.mark.parametrize(
    "change",
    [
        {"_name_or_path": "x"}, {"transformers_version": "4"}, {"torch_dtype": "float16"}, {"dtype": "float16"},
        {"use_cache": False}, {"eos_token_id": [1, 2]}, {"pad_token_id": 0}, {"attention_dropout": 0.5},
        {"unheard_of": 7}, {"id2label": {"0": "x"}}, {"rope_scaling": None}, {"vocab_size": 32000.0},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_keys_that_say_nothing_of_the_function_are_no_difference(change):
    base = {**LLAMA, "eos_token_id": 2, "pad_token_id": None, "use_cache": True, "attention_dropout": 0.0,
            "torch_dtype": "bfloat16", "dtype": "bfloat16", "_name_or_path": "org/base"}  # fmt: skip
    assert config_differences(base, {**base, **change}) == ()
    assert config_differences({**base, **change}, base) == ()


def test_the_two_ways_to_write_a_rotary_embedding_are_one():
    new = {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}}
    assert config_differences({"rope_theta": 10000.0, "rope_scaling": None}, new) == ()
    longer = {"rope_theta": 5e5, "rope_scaling": {"type": "yarn", "factor": 4.0}}
    expected = (("rope_parameters.rope_theta", 10000.0, 5e5), ("rope_parameters.rope_type", "default", "yarn"))
    assert config_differences(new, longer) == expected
    assert config_differences({"rope_theta": 10000.0}, longer) == expected


def test_parts_of_a_config_are_compared_key_by_key():
    base = {"text_config": {"hidden_size": 8, "dtype": "a"}, "layer_types": ["full", "full"]}
    variant = {"text_config": {"hidden_size": 9, "dtype": "b"}, "layer_types": ["full", "sliding"]}
    assert config_differences(base, variant) == (
        ("layer_types", ["full", "full"], ["full", "sliding"]),
        ("text_config.hidden_size", 8, 9),
    )


def test_a_quantisation_that_only_one_has_is_a_difference():
    quantised = {**LLAMA, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    assert config_differences(LLAMA, quantised) == (("quantization_config.quant_method", None, "fp8"),)


def test_a_config_that_never_ends_is_left_out():
    deep: dict = {}
    for _ in range(5000):
        deep = {"a": deep}
    assert config_differences({"a": deep, "b": 1}, {"a": deep, "b": 2}) == (("b", 1, 2),)
