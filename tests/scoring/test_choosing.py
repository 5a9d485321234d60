import pytest
from architectures import LEAKY, examples_of, model_of, random_model, scored

from spin_hub.errors import UnsupportedModel
from spin_hub.models.layers import LoadedLayers
from spin_hub.scoring.choosing import make_engine
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
