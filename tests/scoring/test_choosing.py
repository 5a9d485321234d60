"""The choice of the engine, and the check of the layerwise one that decides it."""

import math

import pytest
import torch
from architectures import CONFIGS, LEAKY, examples_of, model_of, random_model, scored

from spin_hub.errors import UnsupportedModel
from spin_hub.models.layers import LoadedLayers, decoder_layers
from spin_hub.models.load import DEPTH, shrunk
from spin_hub.scoring.choosing import Agreement, check_layerwise, make_engine, short_example
from spin_hub.scoring.engine import EngineConfig
from spin_hub.scoring.targets import find_targets


class Absent(LoadedLayers):
    all_present = False
    runnable = False


class Passing(LoadedLayers):
    """Layers that can only be run forwards, as widened ones."""

    all_present = False


def test_layerwise_is_the_default_where_it_is_right():
    model = model_of("llama")
    choice = make_engine("auto", model, find_targets(model, "mlp"), "float32")
    assert (choice.engine.name, choice.note) == ("layerwise", None)
    assert len(scored(choice.engine, {"a": examples_of(2)})) == 6


def test_whole_is_taken_where_asked_for():
    model = model_of("llama")
    choice = make_engine("whole", model, find_targets(model, "mlp"), "model")
    assert (choice.engine.name, choice.note) == ("whole", None)
    assert choice.engine.accumulate == "model"


def test_whole_is_taken_with_a_note_where_layerwise_would_be_wrong():
    model = random_model(LEAKY)
    choice = make_engine("auto", model, find_targets(model, "*.mlp.*"), "float32")
    assert choice.engine.name == "whole"
    assert "another gradient" in choice.note


@pytest.mark.parametrize(("asked", "means"), [("layerwise", None), ("auto", EngineConfig(Absent()))])
def test_layerwise_is_refused_where_it_would_be_wrong_and_nothing_else_will_do(asked, means):
    model = random_model(LEAKY)
    with pytest.raises(UnsupportedModel, match="another gradient"):
        make_engine(asked, model, find_targets(model, "*.mlp.*"), "float32", means)


def test_whole_is_the_way_out_for_a_model_that_can_be_run_as_a_whole():
    model = random_model(LEAKY)
    choice = make_engine("auto", model, find_targets(model, "*.mlp.*"), "float32", EngineConfig(Passing()))
    assert choice.engine.name == "whole"


def test_a_model_that_is_not_all_there_is_judged_by_a_small_one():
    model = model_of("qwen2")
    means = EngineConfig(Absent())
    assert make_engine("auto", model, find_targets(model, "mlp"), "float32", means).engine.name == "layerwise"
    with pytest.raises(UnsupportedModel, match="whole engine needs"):
        make_engine("whole", model, find_targets(model, "mlp"), "float32", means)


def agreement(model, target="mlp"):
    return check_layerwise(model, find_targets(model, target), LoadedLayers())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["llama", "gemma3", "falcon"])
def test_it_holds_for_layers_that_meet_in_the_hidden_state_alone(name, dtype):
    found = agreement(model_of(name, dtype))
    assert found.holds
    assert found.error <= 1e-5


def test_layers_that_share_keys_and_values_are_found_out():
    found = agreement(random_model(LEAKY), "*.mlp.*")
    assert not found.holds
    assert found.error > 0.1
    assert "layers." in found.sentence


def test_the_small_model_of_an_architecture_shows_its_leak_too():
    small = shrunk(random_model(LEAKY))
    assert len(decoder_layers(small)[1]) == DEPTH
    assert not agreement(small, "*.mlp.*").holds


@pytest.mark.parametrize("name", CONFIGS)
def test_a_small_model_of_every_architecture_can_be_made(name):
    config = type(CONFIGS[name])(**{**CONFIGS[name].to_dict(), "num_hidden_layers": 7, "layer_types": None})
    model = random_model(config)
    state = torch.random.get_rng_state()
    small = shrunk(model)
    assert torch.equal(state, torch.random.get_rng_state())
    assert len(decoder_layers(small)[1]) == DEPTH
    assert agreement(small).holds
    assert small.dtype == torch.float32
    assert config.num_hidden_layers == 7


class Talking(torch.nn.Module):
    """A layer that gives the next one of its kind something past the hidden state."""

    said: torch.Tensor | None = None

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, hidden, **named):
        heard, output = Talking.said, self.layer(hidden, **named)
        Talking.said = output if heard is None else None
        return output if heard is None else output + torch.tanh(heard)


def test_layers_that_talk_behind_the_models_back_are_found_out():
    model = model_of("llama")
    for number in (0, 1):
        model.model.layers[number] = Talking(model.model.layers[number])
    assert not agreement(model, "*layers.0.layer.mlp.*").holds


class Strange(torch.nn.Module):
    """A layer that finds nothing where another one has put something."""

    def __init__(self, layer, shelf):
        super().__init__()
        self.layer, self.shelf = layer, shelf

    def forward(self, hidden, **named):
        number = self.shelf.pop("number")
        self.shelf["number" if number == 0 else "none"] = number + 1
        return self.layer(hidden, **named)


def test_a_layer_that_fails_by_itself_is_a_refusal():
    model, shelf = model_of("llama"), {"number": 0}
    for number in (0, 1):
        model.model.layers[number] = Strange(model.model.layers[number], shelf)
    found = agreement(model, "*layers.0.layer.mlp.*")
    assert not found.holds
    assert "KeyError" in found.sentence


def test_no_number_is_no_agreement():
    assert not Agreement(math.nan).holds
    assert not Agreement(math.inf).holds


@pytest.mark.parametrize("vocabulary", [2, 3, 260, 151_936])
def test_the_short_example_fits_any_vocabulary(vocabulary):
    example = short_example(vocabulary)
    assert 0 <= int(example.ids.min()) <= int(example.ids.max()) < vocabulary
    assert example.counted == len(example) // 2
