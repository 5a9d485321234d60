"""Coupling of a small model, and HSIC against a loop from the textbook and against all pairings."""

import itertools
import math

import models
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from spin_hub.core.selection import Selection
from spin_hub.data.examples import IGNORE, Example
from spin_hub.errors import NotFinite
from spin_hub.metrics.base import nothing
from spin_hub.metrics.coupling import coupling, hsic, kernel, representations, tokens_of
from spin_hub.metrics.states import Other

DOWN = "model.layers.1.mlp.down_proj.weight"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(models.tiny_config()).eval()


def texts(count: int, seed: int) -> list[Example]:
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(0, 256, (3 + place % 5,), generator=generator) for place in range(count)]
    return [Example(ids, torch.full_like(ids, IGNORE), place) for place, ids in enumerate(rows)]


def test_every_layer_is_read_at_the_last_token(model):
    examples = texts(9, 0)
    found = representations(model, "base", examples, nothing)
    assert found.shape == (4, 9, 32)
    for place, example in enumerate(examples):
        with torch.no_grad():
            states = model(example.ids[None], output_hidden_states=True).hidden_states
        expected = torch.stack([state[0, -1] for state in states[1:]]).numpy()
        np.testing.assert_allclose(found[:, place], expected, atol=1e-5)


def test_an_edit_changes_the_layers_behind_it_alone(model):
    sets = texts(12, 0), texts(12, 1)
    spent = []
    everything = Selection({DOWN: np.arange(32 * 64)})
    found = coupling(model, sets, {"edited": everything, "same": Selection({})}, spent.append)
    assert sum(spent) == tokens_of(sets, 2)
    base, edited = found.layers["base"]["value"], found.layers["edited"]["value"]
    assert base[:1] == edited[:1]
    assert all(before != after for before, after in zip(base[1:], edited[1:], strict=True))
    assert found.layers["same"] == found.layers["base"]
    kernels = [kernel(representations(model, "base", examples, nothing)[2]) for examples in sets]
    assert base[2] == pytest.approx(hsic(*kernels).value)
    estimate = found.metric.values["base"]
    assert estimate.value == pytest.approx(sum(base) / 4)
    assert estimate.low < estimate.value < estimate.high
    assert estimate.n == 12


def test_another_model_is_a_state(model):
    torch.manual_seed(1)
    other = AutoModelForCausalLM.from_config(models.tiny_config()).eval()
    sets = texts(6, 0), texts(6, 1)
    beside = coupling(model, sets, {"edited": Other(other, Selection({}))}, nothing)
    alone = coupling(other, sets, {}, nothing)
    assert beside.layers["edited"] == alone.layers["base"]
    assert beside.layers["base"] != alone.layers["base"]


def test_what_is_not_finite_is_an_error(model):
    torch.manual_seed(0)
    broken = AutoModelForCausalLM.from_config(models.tiny_config()).eval()
    with torch.no_grad():
        broken.get_parameter(DOWN).fill_(float("nan"))
    with pytest.raises(NotFinite, match="broken"):
        coupling(model, (texts(4, 0), texts(4, 1)), {"broken": Other(broken, Selection({}))}, nothing)


# --- HSIC --------------------------------------------------------------------------------------------------


def vectors(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def textbook(x: np.ndarray, y: np.ndarray) -> float:
    """By the definition of the biased estimator, element by element, with the kernels' means taken out."""

    def gram(rows):
        n = len(rows)
        squared = [[sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) for q in rows] for p in rows]
        width = np.median([squared[i][j] for i in range(n) for j in range(i + 1, n)])
        return [[math.exp(-entry / (2 * width)) for entry in row] for row in squared]

    def raw(k, other):
        n = len(k)
        joint = sum(k[i][j] * other[i][j] for i in range(n) for j in range(n)) / n**2
        means = sum(map(sum, k)) * sum(map(sum, other)) / n**4
        mixed = sum(k[i][j] * other[i][q] for i in range(n) for j in range(n) for q in range(n)) / n**3
        return joint + means - 2 * mixed

    first, second = gram(x), gram(y)
    return raw(first, second) / math.sqrt(raw(first, first) * raw(second, second))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("d", "e"), [(1, 1), (3, 7), (20, 2)])
def test_it_is_the_textbook_loop(seed, d, e):
    x, y = vectors(9, d, seed), vectors(9, e, seed + 100)
    y[:, 0] += 2 * x[:, 0]
    assert hsic(kernel(x), kernel(y)).value == pytest.approx(textbook(x, y), rel=1e-9)


def test_chance_is_the_mean_over_all_pairings():
    x, y = kernel(vectors(6, 3, 0)), kernel(vectors(6, 3, 1))
    orders = list(itertools.permutations(range(6)))
    values = [hsic(x, y[np.ix_(order, order)]).value for order in orders]
    assert hsic(x, y).chance == pytest.approx(sum(values) / len(values), rel=1e-9)


def test_a_set_depends_wholly_on_itself_and_scale_and_origin_do_not_matter():
    x = vectors(12, 4, 0)
    assert hsic(kernel(x), kernel(x)).value == pytest.approx(1)
    assert hsic(kernel(x), kernel(1e3 * x + 7e4)).value == pytest.approx(1)
    y = vectors(12, 4, 1)
    assert hsic(kernel(x), kernel(y)).value == pytest.approx(hsic(kernel(y), kernel(x)).value)


def test_dependent_vectors_lie_above_chance_and_independent_ones_at_it():
    x, y = vectors(200, 3, 0), vectors(200, 3, 1)
    apart, together = hsic(kernel(x), kernel(y)), hsic(kernel(x), kernel(x + 0.3 * y))
    assert apart.value == pytest.approx(apart.chance, abs=0.02)
    assert together.value > together.chance + 0.5


def test_equal_vectors_tell_nothing():
    assert hsic(kernel(np.ones((5, 3))), kernel(vectors(5, 3, 0))).value == 0


def test_too_few_pairs_are_refused():
    with pytest.raises(ValueError, match="three or more"):
        hsic(kernel(vectors(2, 3, 0)), kernel(vectors(2, 3, 1)))
    with pytest.raises(ValueError, match="same"):
        hsic(kernel(vectors(4, 3, 0)), kernel(vectors(5, 3, 1)))
