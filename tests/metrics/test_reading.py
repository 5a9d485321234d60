"""The quick suite against plain statements: one example at a time, one state at a time, no batches."""

import json
import math

import models
import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from spin_hub.core.selection import Selection
from spin_hub.core.stats import Measurement, share
from spin_hub.data.examples import IGNORE, Example
from spin_hub.errors import NotEditable, NotFinite, UnsupportedFormat
from spin_hub.evidence import Evidence
from spin_hub.metrics import reading
from spin_hub.metrics.reading import measure, tokens_to_read
from spin_hub.models.edit import switched

LAYERS = [f"model.layers.{layer}.mlp.{name}_proj.weight" for layer in range(4) for name in ("up", "down")]


def examples_of(count: int, seed: int) -> list[Example]:
    generator = torch.Generator().manual_seed(seed)
    found = []
    for number in range(count):
        length = int(torch.randint(6, 40, (1,), generator=generator))
        ids = torch.randint(0, 256, (length,), generator=generator)
        labels = torch.where(torch.arange(length) < max(1, length // 3), IGNORE, ids)
        found.append(Example(ids, labels, 100 + number))
    return found


def selection_of(count: int, seed: int) -> Selection:
    generator = np.random.default_rng(seed)
    return Selection({name: np.sort(generator.choice(2048, count, replace=False)) for name in LAYERS})


GENERAL = examples_of(9, 1)
PAIRS = {
    "fairness": list(zip(examples_of(7, 2), examples_of(7, 3), strict=True)),
    "privacy": list(zip(examples_of(4, 4), examples_of(4, 5), strict=True)),
}
STATES = {"edited": selection_of(300, 1), "control": selection_of(100, 2)}


def load(dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    torch.manual_seed(0)
    # Weights larger than usual, so that an edit changes the predictions by more than rounding does.
    config = models.tiny_config(initializer_range=0.3)
    return AutoModelForCausalLM.from_config(config, dtype=dtype).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return load()


@pytest.fixture(scope="module")
def measured(model) -> Evidence:
    return measure(model, GENERAL, PAIRS, STATES, lambda _: None)


def metric(measured: Evidence, name: str, axis: str | None = None) -> Measurement:
    (found,) = [entry for entry in measured.metrics if (entry.name, entry.axis) == (name, axis)]
    return found


def alone(model, example: Example, state: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels of the counted tokens: one forward pass over one example, with nothing clever."""
    with torch.no_grad(), switched(model, STATES.get(state, Selection({}))):
        logits = model(input_ids=example.ids[None]).logits[0, :-1]
    counted = example.labels[1:] != IGNORE
    return logits[counted], example.labels[1:][counted]


def mean_log_probability(model, example: Example, state: str) -> float:
    logits, labels = alone(model, example, state)
    return -float(functional.cross_entropy(logits, labels))


def numbers(measured: Evidence) -> list[float]:
    values = [value for entry in measured.metrics for value in entry.values.values()]
    return [number for value in values for number in (value.value, value.low, value.high, value.n)]


def test_what_is_measured(measured):
    assert measured.states == ("base", "edited", "control")
    assert [(entry.name, entry.axis, tuple(entry.values)) for entry in measured.metrics] == [
        ("kl", None, ("edited", "control")),
        ("perplexity", None, measured.states),
        ("preference", "fairness", measured.states),
        ("gain", "fairness", ("edited", "control")),
        ("preference", "privacy", measured.states),
        ("gain", "privacy", ("edited", "control")),
    ]
    assert measured.about == {"general_examples": 9, "pairs": {"fairness": 7, "privacy": 4}}


@pytest.mark.parametrize("state", STATES)
def test_kl_is_the_mean_over_all_tokens(model, measured, state):
    tokens = []
    for example in GENERAL:
        base, edited = alone(model, example, "base")[0], alone(model, example, state)[0]
        tokens += functional.kl_div(
            edited.double().log_softmax(-1), base.double().log_softmax(-1), reduction="none", log_target=True
        ).sum(-1)
    expected = sum(map(float, tokens)) / len(tokens)
    assert expected > 1e-3
    estimate = metric(measured, "kl").values[state]
    assert estimate.value == pytest.approx(expected, rel=1e-4)
    assert 0 <= estimate.low < estimate.value < estimate.high
    assert estimate.n == 9


@pytest.mark.parametrize("state", ["base", *STATES])
def test_perplexity_is_exp_of_the_mean_over_all_tokens(model, measured, state):
    losses = [alone(model, example, state) for example in GENERAL]
    tokens = [
        -math.log(row.double().softmax(-1)[label])
        for rows, labels in losses
        for row, label in zip(rows, labels, strict=True)
    ]
    estimate = metric(measured, "perplexity").values[state]
    assert estimate.value == pytest.approx(math.exp(sum(tokens) / len(tokens)), rel=1e-4)
    assert estimate.low < estimate.value < estimate.high


@pytest.mark.parametrize("state", ["base", *STATES])
@pytest.mark.parametrize("axis", PAIRS)
def test_preference_is_the_share_of_aware_answers_that_are_likelier(model, measured, axis, state):
    likelier = [
        mean_log_probability(model, aware, state) > mean_log_probability(model, unaware, state)
        for aware, unaware in PAIRS[axis]
    ]
    assert metric(measured, "preference", axis).values[state] == share(sum(likelier), len(likelier))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("axis", PAIRS)
def test_gain_is_the_mean_change_of_the_margin_pair_by_pair(model, measured, axis, state):
    def margin(pair, of):
        return mean_log_probability(model, pair[0], of) - mean_log_probability(model, pair[1], of)

    changes = np.array([margin(pair, state) - margin(pair, "base") for pair in PAIRS[axis]])
    estimate = metric(measured, "gain", axis).values[state]
    assert estimate.value == pytest.approx(changes.mean(), abs=1e-4)
    half = 1.959964 * changes.std(ddof=1) / math.sqrt(len(changes))
    assert (estimate.low, estimate.high) == pytest.approx((changes.mean() - half, changes.mean() + half), abs=1e-4)


def test_equal_answers_are_ties(model):
    same = [(example, example) for example in GENERAL]
    measured = measure(model, GENERAL[:1], {"any": same}, STATES, lambda _: None)
    assert {value.value for value in metric(measured, "preference", "any").values.values()} == {0.5}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_edit_of_nothing_has_no_divergence_and_the_same_numbers(dtype):
    measured = measure(load(dtype), GENERAL, PAIRS, {"nothing": Selection({})}, lambda _: None)
    nothing = metric(measured, "kl").values["nothing"]
    assert (nothing.value, nothing.low, nothing.high) == (0.0, 0.0, 0.0)
    for entry in measured.metrics[1:]:
        if entry.name == "gain":
            assert (entry.values["nothing"].value, entry.values["nothing"].high) == (0.0, 0.0)
        else:
            assert entry.values["nothing"] == entry.values["base"]


@pytest.mark.parametrize("tokens", [1, 64, 8192])
def test_any_batch_size_gives_the_same_numbers(model, measured, monkeypatch, tokens):
    monkeypatch.setattr(reading, "usual_tokens", lambda _: tokens)
    monkeypatch.setattr(reading, "_ELEMENTS", 7 * 260)
    again = measure(model, GENERAL, PAIRS, STATES, lambda _: None)
    assert numbers(again) == pytest.approx(numbers(measured), rel=1e-4)


def test_the_order_of_the_examples_and_of_the_states_does_not_matter(model, measured):
    pairs = {axis: entries[::-1] for axis, entries in reversed(PAIRS.items())}
    again = measure(model, GENERAL[::-1], pairs, dict(reversed(STATES.items())), lambda _: None)
    for entry in measured.metrics:
        for state, value in entry.values.items():
            assert metric(again, entry.name, entry.axis).values[state].value == pytest.approx(value.value, rel=1e-5)


def test_two_runs_are_equal_and_the_model_is_left_as_it_was(model, measured):
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    assert numbers(measure(model, GENERAL, PAIRS, STATES, lambda _: None)) == numbers(measured)
    for name, weight in model.named_parameters():
        assert torch.equal(weight, before[name])


def test_every_forwarded_token_is_told(model):
    told: list[int] = []
    measure(model, GENERAL, PAIRS, STATES, told.append)
    answers = [example for entries in PAIRS.values() for pair in entries for example in pair]
    assert sum(told) == 3 * sum(map(len, GENERAL + answers)) == tokens_to_read(GENERAL, PAIRS, 2)


def test_it_survives_json(measured):
    entry = json.loads(json.dumps(measured.to_json(), allow_nan=False))
    assert Evidence.from_json(entry) == measured
    assert entry["format"] == 1
    assert entry["metrics"][0]["name"] == "kl"
    assert set(entry["metrics"][0]["values"]["edited"]) == {"value", "low", "high", "n"}


@pytest.mark.parametrize("unknown", [2, "1", True, None])
def test_an_unknown_format_is_refused(measured, unknown):
    with pytest.raises(UnsupportedFormat):
        Evidence.from_json({**measured.to_json(), "format": unknown})


def test_without_pairs_and_without_states_the_base_alone_is_measured(model, measured):
    alone = measure(model, GENERAL, {}, {}, lambda _: None)
    assert (alone.states, [entry.name for entry in alone.metrics]) == (("base",), ["kl", "perplexity"])
    assert metric(alone, "kl").values == {}
    assert metric(alone, "perplexity").values["base"] == metric(measured, "perplexity").values["base"]


@pytest.mark.parametrize(
    ("general", "pairs", "states"),
    [([], {}, {}), (GENERAL, {"any": []}, {}), (GENERAL, {}, {"base": STATES["edited"]})],
)
def test_what_cannot_be_measured_is_refused(model, general, pairs, states):
    with pytest.raises(ValueError, match="evidence needs"):
        measure(model, general, pairs, states, lambda _: None)


def test_a_selection_of_another_model_is_refused(model):
    with pytest.raises(NotEditable):
        measure(model, GENERAL, {}, {"edited": Selection({"no.such": np.array([0])})}, lambda _: None)


def test_a_broken_model_is_refused_with_its_state_and_row(model):
    weight = model.get_parameter("lm_head.weight")
    broken = load()
    assert torch.equal(broken.get_parameter("lm_head.weight"), weight)
    broken.get_parameter("model.embed_tokens.weight")[int(GENERAL[4].ids[0])] = float("nan")
    with pytest.raises(NotFinite, match=r"base model .* for row 1\d\d of the general examples"):
        measure(broken, GENERAL, {}, STATES, lambda _: None)


def test_a_checkpoint_on_disk(tiny):
    loaded = AutoModelForCausalLM.from_pretrained(tiny)
    measured = measure(loaded, GENERAL, PAIRS, STATES, lambda _: None)
    # A model that was never trained knows nothing: its perplexity is near the size of its vocabulary.
    assert metric(measured, "perplexity").values["base"].value == pytest.approx(260, rel=0.1)
    assert 0 < metric(measured, "kl").values["edited"].value < 0.1
