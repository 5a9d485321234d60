"""The whole engine against the definition: one example at a time, gradients from autograd."""

import math

import numpy as np
import pytest
import torch
from architectures import CONFIGS, examples_of, model_of, scale_gradient
from torch.nn import functional

from spin_hub.data.examples import IGNORE, Example
from spin_hub.errors import NotFinite, UnsupportedModel
from spin_hub.scoring.layerwise import LayerwiseEngine
from spin_hub.scoring.sums import finished
from spin_hub.scoring.targets import find_targets
from spin_hub.scoring.whole import WholeEngine


def by_definition(model: torch.nn.Module, parameter: str, examples: list[Example]) -> torch.Tensor:
    """|W| * sum_i |dL_i/dW| with autograd on the weight itself, one example a pass, no padding."""
    weight = model.get_parameter(parameter)
    weight.requires_grad_(True)
    total = torch.zeros_like(weight, dtype=torch.float64)
    for example in examples:
        logits = model(input_ids=example.ids[None]).logits[0]
        loss = functional.cross_entropy(logits[:-1].float(), example.labels[1:], ignore_index=IGNORE)
        (gradient,) = torch.autograd.grad(loss, weight)
        total += gradient.abs().double()
    weight.requires_grad_(False)
    return (weight.detach().abs().double() * total).reshape(-1)


@pytest.mark.parametrize("name", CONFIGS)
def test_importance_is_that_of_the_definition_in_every_architecture(name):
    model, examples = model_of(name), examples_of()
    engine = WholeEngine(model, find_targets(model, "all"))
    scored = list(engine.score({"a": examples}, 0.999, lambda _: None))
    assert len(scored) == len(find_targets(model, "all"))
    for matrix in scored:
        expected = by_definition(model, matrix.parameter, examples)
        assert matrix.shape == tuple(model.get_parameter(matrix.parameter).shape)
        assert len(matrix.indices) == int(0.999 * expected.numel())
        found = torch.from_numpy(matrix.importance).double()
        torch.testing.assert_close(found, expected[torch.from_numpy(matrix.indices)], rtol=2e-4, atol=1e-9)


@pytest.mark.parametrize("tokens", [1, 64, 10_000])
def test_batched_sums_equal_one_example_sums(tokens):
    model, examples = model_of("llama"), examples_of(9, seed=3)
    targets = find_targets(model, "mlp")
    one = {m.parameter: m for m in WholeEngine(model, targets, "model").score({"a": examples}, 0.5, lambda _: None)}
    batched = WholeEngine(model, targets, tokens_per_batch=tokens).score({"a": examples}, 0.5, lambda _: None)
    for matrix in batched:
        np.testing.assert_allclose(matrix.importance, one[matrix.parameter].importance, rtol=1e-4)


def test_sets_do_not_mix():
    model = model_of("llama")
    targets = find_targets(model, "mlp")
    first, second = examples_of(3, seed=1), examples_of(3, seed=2)
    both = WholeEngine(model, targets).score({"a": first, "b": second}, 0.1, lambda _: None)
    alone = WholeEngine(model, targets).score({"b": second}, 0.1, lambda _: None)
    together = {matrix.parameter: matrix for matrix in both if matrix.set_name == "b"}
    for matrix in alone:
        np.testing.assert_array_equal(matrix.indices, together[matrix.parameter].indices)
        np.testing.assert_array_equal(matrix.importance, together[matrix.parameter].importance)


def test_sums_are_float32_whatever_the_dtype_of_the_model():
    model, examples = model_of("llama", torch.bfloat16), examples_of()
    target = find_targets(model, "*layers.0.mlp.up_proj.weight")
    scored = next(iter(WholeEngine(model, target).score({"a": examples}, 0.5, lambda _: None)))
    as_bfloat16 = torch.from_numpy(scored.importance).bfloat16().float().numpy()
    assert (scored.importance != as_bfloat16).mean() > 0.5
    in_model = next(iter(WholeEngine(model, target, "model").score({"a": examples}, 0.5, lambda _: None)))
    assert (in_model.importance == torch.from_numpy(in_model.importance).bfloat16().float().numpy()).all()


def test_the_best_come_first_and_ties_go_to_the_lower_index():
    model = model_of("llama")
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[:32] = 0  # every score there is zero
    scored = next(
        iter(
            WholeEngine(model, find_targets(model, "*layers.0.mlp.up_proj.weight")).score(
                {"a": examples_of()}, 0.999, lambda _: None
            )
        )
    )
    order = sorted(range(len(scored.indices)), key=lambda i: (-scored.importance[i], scored.indices[i]))
    assert order == list(range(len(scored.indices)))


def test_progress_counts_every_token_once():
    model, examples = model_of("llama"), examples_of()
    seen = []
    list(WholeEngine(model, find_targets(model, "mlp")).score({"a": examples, "b": examples}, 0.1, seen.append))
    assert sum(seen) == 2 * sum(map(len, examples))


def test_weights_and_hooks_are_left_as_they_were():
    model = model_of("llama")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    list(WholeEngine(model, find_targets(model, "all")).score({"a": examples_of()}, 0.1, lambda _: None))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_loss_that_is_no_number_names_the_example():
    model = model_of("llama")
    with torch.no_grad():
        model.model.embed_tokens.weight[7] = math.nan
    examples = [*examples_of(3), Example(torch.tensor([5, 7, 9]), torch.tensor([IGNORE, 7, 9]), 41)]
    clean = [example for example in examples[:3] if 7 not in example.ids.tolist()]
    with pytest.raises(NotFinite, match=r"row 41 .* 'mine'"):
        list(WholeEngine(model, find_targets(model, "mlp")).score({"mine": [*clean, examples[3]]}, 0.1, lambda _: None))


def test_a_gradient_that_is_no_number_names_the_example():
    model = model_of("llama")
    scale_gradient(model.model.norm, math.inf)
    with pytest.raises(NotFinite, match=r"gradient .* row \d .* 'a' at model\.layers\.1\."):
        list(WholeEngine(model, find_targets(model, "mlp")).score({"a": examples_of(3)}, 0.1, lambda _: None))


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_an_importance_that_is_no_number_names_the_matrix(value):
    model = model_of("llama")
    target = find_targets(model, "*layers.1.mlp.down_proj.weight")[0]
    sums = torch.zeros_like(target.weight)
    sums[3, 5] = value
    with pytest.raises(NotFinite, match=r"importance .* model\.layers\.1\.mlp\.down_proj\.weight"):
        finished(target, "a", sums, 0.1)


def test_a_linear_map_that_is_used_twice_is_refused():
    model = model_of("llama")
    model.model.layers[1].mlp.up_proj = model.model.layers[1].mlp.gate_proj
    with pytest.raises(UnsupportedModel, match="more than once"):
        list(WholeEngine(model, find_targets(model, "mlp")).score({"a": examples_of()}, 0.1, lambda _: None))


@pytest.mark.parametrize("engine", [WholeEngine, LayerwiseEngine])
def test_a_matrix_whose_module_is_never_called_is_refused(engine):
    model = model_of("llama")
    mlp = model.model.layers[1].mlp
    mlp.forward = lambda hidden: mlp.down_proj(mlp.act_fn(mlp.gate_proj(hidden)) * (hidden @ mlp.up_proj.weight.T))
    sets = {"a": examples_of(2), "b": examples_of(2)}
    scores = engine(model, find_targets(model, "mlp")).score(sets, 0.1, lambda _: None)
    with pytest.raises(UnsupportedModel, match=r"layers\.1\.mlp\.up_proj\.weight .* never calls its module"):
        list(scores)
