"""How a model is held within a limit, from shapes alone."""

import models
import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from spin_hub.data.examples import Example
from spin_hub.errors import MemoryTooSmall
from spin_hub.models.device import Placement
from spin_hub.scoring import memory as holding
from spin_hub.scoring.memory import MemoryRequest, hold
from spin_hub.scoring.targets import find_targets

GIB = 1 << 30
CPU = torch.device("cpu")


def demand(config, dtype=torch.bfloat16, stored=torch.bfloat16, tokens=100, examples=6):
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(config, dtype=dtype)
    rows = [
        Example(torch.zeros(tokens, dtype=torch.long), torch.zeros(tokens, dtype=torch.long), row)
        for row in range(examples)
    ]
    return MemoryRequest(skeleton, find_targets(skeleton, "mlp"), rows, Placement(CPU, dtype), stored)


@pytest.fixture(scope="module")
def seven():
    """The shape of a 7B model."""
    return Qwen2Config(
        vocab_size=152_064, hidden_size=3584, intermediate_size=18_944, num_hidden_layers=28,
        num_attention_heads=28, num_key_value_heads=4, tie_word_embeddings=False,
    )  # fmt: skip


def test_a_7b_model_is_scored_on_a_cpu_within_6_gib(seven):
    held = hold(demand(seven), "auto", 6 * GIB, None)
    assert (held.engine, held.weights) == ("layerwise", "mapped")
    assert sum(held.memory.values()) <= 6 * GIB
    assert held.memory["sums"] == 3 * 3584 * 18_944 * 4


def test_its_sums_are_the_reason_why_the_whole_engine_is_not(seven):
    with pytest.raises(MemoryTooSmall, match="with the whole engine does not fit"):
        hold(demand(seven), "whole", 20 * GIB, None)
    held = hold(demand(seven), "whole", None, None)
    assert held.memory["sums"] == 28 * 3 * 3584 * 18_944 * 4


def test_another_precision_is_loaded_where_it_fits_and_else_read_layer_by_layer(seven):
    wide = demand(seven, torch.float64)
    assert hold(wide, "auto", 128 * GIB, None).weights == "loaded"
    held = hold(wide, "auto", 32 * GIB, None)
    assert held.weights == "shards"
    assert held.memory["weights"] < 16 * GIB


def test_seven_billion_weights_in_bfloat16_are_scored_in_float32_within_6_gib(seven):
    held = hold(demand(seven, torch.float32), "auto", 6 * GIB, None)
    assert (held.engine, held.weights) == ("layerwise", "widened")
    assert sum(held.memory.values()) <= 6 * GIB


def test_what_is_left_is_for_inputs_and_the_rest_goes_to_a_file(seven, tmp_path):
    much = demand(seven, examples=4000)
    held = hold(much, "auto", 6 * GIB, tmp_path)
    assert held.kept == 4000 * 100 * 3584 * 2 * 29
    assert held.budget.folder == tmp_path
    assert held.spilled == held.kept - held.budget.host > 0
    assert sum(held.memory.values()) == 6 * GIB
    assert hold(demand(seven), "auto", 60 * GIB, tmp_path).spilled == 0


def test_twice_the_layers_take_the_same_memory_but_for_the_inputs():
    shallow, deep = (demand(models.tiny_config(num_hidden_layers=depth)) for depth in (4, 8))
    few, many = (dict(hold(entry, "auto", None, None).memory) for entry in (shallow, deep))
    assert many.pop("kept inputs") > few.pop("kept inputs")
    assert many == few


def test_a_limit_below_one_layer_names_what_is_needed(seven):
    with pytest.raises(MemoryTooSmall, match=r"one layer at a time does not fit into 1\.0 GiB: it needs \d\.\d GiB"):
        hold(demand(seven), "auto", GIB, None)


def test_without_a_limit_what_is_free_counts(seven, monkeypatch):
    monkeypatch.setattr(holding, "free_memory", lambda _: 5 * GIB)
    held = hold(demand(seven), "auto", None, None)
    assert held.budget.host is not None
    assert sum(held.memory.values()) <= 5 * GIB
