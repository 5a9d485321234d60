"""The layerwise engine against the whole one, in every architecture."""

import math

import numpy as np
import pytest
import torch
from architectures import CONFIGS, examples_of, model_of, random_model, scale_gradient, scored
from models import tiny_config

from spin_hub.data.examples import IGNORE, Example
from spin_hub.errors import NotFinite, UnsupportedModel
from spin_hub.scoring.choosing import make_engine
from spin_hub.scoring.engine import EngineConfig
from spin_hub.scoring.layerwise import LayerwiseEngine
from spin_hub.scoring.memory import MemoryBudget
from spin_hub.scoring.targets import Target, find_targets
from spin_hub.scoring.whole import WholeEngine

NORM_BEHIND = {"gemma2", "gemma3", "olmo2"}
"""The architectures whose layers end with a norm, behind the last linear map."""


def assert_equal(found, expected):
    """Equal rankings, up to rounding of the scores."""
    assert found.keys() == expected.keys()
    for key, matrix in found.items():
        dense = [np.zeros(math.prod(matrix.shape), np.float32) for _ in range(2)]
        for scores, entry in zip(dense, (matrix, expected[key]), strict=True):
            scores[entry.indices] = entry.importance
        np.testing.assert_allclose(*dense, rtol=1e-5, atol=1e-5 * dense[1].max())
        count = len(matrix.indices) // 10
        assert len(np.setdiff1d(matrix.indices[:count], expected[key].indices[:count])) <= 0.01 * count


@pytest.mark.parametrize("accumulate", ["float32", "model"])
@pytest.mark.parametrize("name", CONFIGS)
def test_it_scores_as_the_whole_engine_does_in_every_architecture(name, accumulate):
    model = model_of(name)
    sets = {"a": examples_of(5), "b": examples_of(3, seed=1)}
    targets = find_targets(model, "all")
    expected = scored(WholeEngine(model, targets, accumulate), sets)
    chosen = make_engine("layerwise", model, targets, accumulate).engine
    assert chosen.shortcut == (name not in NORM_BEHIND)
    for engine in (chosen, LayerwiseEngine(model, targets, accumulate)):
        assert_equal(scored(engine, sets), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("accumulate", ["float32", "model"])
def test_it_does_in_half_precision(dtype, accumulate):
    model, sets = model_of("gemma2", dtype), {"a": examples_of()}
    targets = find_targets(model, "mlp")
    found = scored(LayerwiseEngine(model, targets, accumulate), sets)
    assert_equal(found, scored(WholeEngine(model, targets, accumulate), sets))
    sums = next(iter(found.values())).importance
    in_dtype = sums == torch.from_numpy(sums).to(dtype).float().numpy()
    assert in_dtype.all() if accumulate == "model" else in_dtype.mean() < 0.5


@pytest.mark.parametrize("tokens", [1, 64, 10_000])
def test_the_batch_size_changes_nothing_but_rounding(tokens):
    model, sets = model_of("llama"), {"a": examples_of(9, seed=3)}
    targets = find_targets(model, "mlp")
    engine = LayerwiseEngine(model, targets, config=EngineConfig(tokens_per_batch=tokens))
    assert_equal(scored(engine, sets), scored(WholeEngine(model, targets, tokens_per_batch=1), sets))


@pytest.mark.parametrize("host", [0, 40_000])
def test_kept_inputs_in_a_file_change_nothing(tmp_path, host):
    model, sets = model_of("llama", torch.bfloat16), {"a": examples_of(), "b": examples_of(2, seed=1)}
    targets = find_targets(model, "mlp")
    spilled = LayerwiseEngine(model, targets, config=EngineConfig(budget=MemoryBudget(host=host, folder=tmp_path)))
    assert_equal(scored(spilled, sets), scored(LayerwiseEngine(model, targets), sets))
    assert not list(tmp_path.iterdir())


def test_nothing_below_the_lowest_target_is_run_twice():
    model = random_model(tiny_config(num_hidden_layers=4))
    calls = []
    for number, layer in enumerate(model.model.layers):
        layer.mlp.register_forward_hook(lambda *_, number=number: calls.append(number))
    targets = find_targets(model, "*layers.2.mlp.up_proj.weight")
    scored(LayerwiseEngine(model, targets), {"a": examples_of(1)})
    # The first one shows once what layers return.
    assert calls == [0, 0, 1, 2, 3, 3, 2]


def test_layers_without_targets_between_those_with_some_are_gone_through():
    model, sets = random_model(tiny_config(num_hidden_layers=4)), {"a": examples_of()}
    targets = [*find_targets(model, "*layers.0.mlp.*"), *find_targets(model, "*layers.2.mlp.*")]
    assert_equal(scored(LayerwiseEngine(model, targets), sets), scored(WholeEngine(model, targets), sets))


def test_the_last_layer_comes_first_and_its_sets_one_after_another():
    model, sets = model_of("llama"), {"b": examples_of(2), "a": examples_of(2, seed=1)}
    keys = list(scored(LayerwiseEngine(model, find_targets(model, "*.up_proj.*")), sets))
    names = [f"model.layers.{number}.mlp.up_proj.weight" for number in (1, 0)]
    assert keys == [(set_name, name) for name in names for set_name in ("b", "a")]


def test_progress_counts_every_token_once():
    model, examples = model_of("llama"), examples_of()
    seen = []
    list(LayerwiseEngine(model, find_targets(model, "mlp")).score({"a": examples, "b": examples}, 0.1, seen.append))
    assert sum(seen) == 2 * sum(map(len, examples))
    assert len(seen) > 4


def test_the_model_is_left_as_it_was():
    model = model_of("falcon")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    scored(LayerwiseEngine(model, find_targets(model, "all")), {"a": examples_of()})
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not any("forward" in vars(module) for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_loss_that_is_no_number_names_the_example():
    model = model_of("llama")
    with torch.no_grad():
        model.model.embed_tokens.weight[2] = math.nan
    examples = [*examples_of(3), Example(torch.tensor([5, 2, 9]), torch.tensor([IGNORE, 2, 9]), 41)]
    with pytest.raises(NotFinite, match=r"loss .* row 41 .* 'mine'"):
        scored(LayerwiseEngine(model, find_targets(model, "mlp")), {"mine": examples})
    assert not any("forward" in vars(module) for module in model.modules())


def test_a_gradient_that_is_no_number_names_example_set_and_matrix():
    model = model_of("llama")
    scale_gradient(model.model.layers[1].mlp.up_proj, math.inf)
    with pytest.raises(NotFinite, match=r"gradient .* row \d .* 'b' at model\.layers\.1\.mlp\.up_proj"):
        scored(LayerwiseEngine(model, find_targets(model, "mlp")), {"b": examples_of(3)})


def test_a_linear_map_that_is_used_twice_in_a_layer_is_refused():
    model = model_of("llama")
    model.model.layers[1].mlp.up_proj = model.model.layers[1].mlp.gate_proj
    with pytest.raises(UnsupportedModel, match="more than once"):
        scored(LayerwiseEngine(model, find_targets(model, "mlp")), {"a": examples_of()})


@pytest.mark.parametrize("shared", ["module", "weight"])
def test_a_weight_that_two_layers_share_is_refused(shared):
    model = model_of("llama")
    lower, upper = (layer.mlp for layer in model.model.layers)
    if shared == "module":
        upper.up_proj = lower.up_proj
    else:
        upper.up_proj.weight = lower.up_proj.weight
    with pytest.raises(UnsupportedModel, match="more than once"):
        scored(LayerwiseEngine(model, find_targets(model, "*layers.0.mlp.*")), {"a": examples_of()})


def test_a_target_outside_the_decoder_layers_is_refused():
    model = model_of("llama")
    with pytest.raises(UnsupportedModel, match="no decoder layer"):
        scored(LayerwiseEngine(model, [Target("lm_head.weight", model.lm_head, False)]), {"a": examples_of()})


class Walked(torch.nn.ModuleList):
    """Layers through which the model goes in another way than one after the other."""

    def __init__(self, layers, way):
        super().__init__(layers)
        self.way = way

    def __getitem__(self, part):
        return self.way(list(self)) if isinstance(part, slice) else super().__getitem__(part)


@pytest.mark.parametrize(
    ("way", "why"),
    [
        (lambda layers: [layers[0], lambda hidden, **named: layers[1](2 * hidden, **named)], "between its decoder"),
        (lambda layers: [layers[1], layers[0]], "between its decoder"),
        (lambda layers: [layers[0], layers[0], layers[1]], "between its decoder"),
        (lambda layers: layers[:1], "leaves out"),
    ],
)
def test_a_model_that_goes_through_its_layers_in_another_way_is_refused(way, why):
    model = model_of("llama")
    model.model.layers = Walked(model.model.layers, way)
    with pytest.raises(UnsupportedModel, match=why):
        scored(LayerwiseEngine(model, find_targets(model, "mlp")), {"a": examples_of()})
    assert not any("forward" in vars(module) for module in model.modules())
