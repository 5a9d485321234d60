"""Coupling of a real small model: what is taken from which layer, and what an edit does to it."""

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
