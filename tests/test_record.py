import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.files import stays_inside
from spin_hub.errors import UnsupportedFormat, UsageError
from spin_hub.recipe import ScoringRecipe
from spin_hub.record import ModelRecord, Record, Result, ScoringRecord, SetRecord

TEXT = st.text("ab/.é", max_size=5)
COUNTS = st.integers(0, 2**40)
PLAIN = st.dictionaries(TEXT, st.none() | st.booleans() | COUNTS | TEXT | st.lists(TEXT, max_size=3), max_size=3)
DIGESTS = st.dictionaries(TEXT, st.just("0" * 64), max_size=3)
FILES = st.dictionaries(TEXT.filter(stays_inside), st.just("0" * 64), max_size=3)
MODELS = st.builds(ModelRecord, TEXT, st.none() | TEXT, st.none() | TEXT, FILES, DIGESTS, PLAIN)
SETS = st.builds(
    SetRecord,
    *(TEXT, TEXT, TEXT, COUNTS, COUNTS, COUNTS, COUNTS, TEXT, TEXT),
    commit=st.none() | TEXT,
    dataset_id=st.none() | TEXT,
)
SCORINGS = st.builds(
    ScoringRecord,
    st.builds(ScoringRecipe, samples=st.none() | st.integers(1, 99), seed=COUNTS),
    st.lists(SETS, max_size=2).map(tuple),
    st.dictionaries(TEXT, TEXT, max_size=2),
)
RESULTS = st.builds(
    Result,
    weights=COUNTS,
    tensors=COUNTS,
    counts=st.dictionaries(TEXT, COUNTS, max_size=2),
    shapes=st.dictionaries(TEXT, st.lists(COUNTS, max_size=3).map(tuple), max_size=2),
    delta_sha256=TEXT,
    candidates=st.none() | COUNTS,
)
RECORDS = st.builds(
    Record, st.sampled_from(["model", "delta"]), MODELS, st.none() | SCORINGS, PLAIN, RESULTS, st.none() | PLAIN
)


def sample():
    result = Result(3, 1, {"up": 3}, {"up": (2, 2)}, "0" * 64, 5)
    scoring = ScoringRecord(ScoringRecipe(), (), {"torch": "2"})
    return Record("delta", ModelRecord("tiny"), scoring, {"rule": "paper"}, result).to_json()


@given(RECORDS)
def test_a_record_comes_back_from_json(record):
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record


@given(SCORINGS)
def test_a_scoring_record_comes_back_from_json(scoring):
    assert msgspec.json.decode(json.dumps(scoring.to_json()), type=ScoringRecord) == scoring


def test_a_record_says_its_format_and_its_tool():
    entry = sample()
    assert entry["format"] == 1
    assert entry["tool"].startswith("spin-hub ")


@pytest.mark.parametrize("version", [0, 2, "1", None, [1], 1.5])
def test_an_unknown_format_is_refused(version):
    with pytest.raises(UnsupportedFormat, match=r"spin\.json"):
        Record.from_json({**sample(), "format": version})


def test_an_unknown_format_is_refused_before_anything_else_is_read():
    with pytest.raises(UnsupportedFormat):
        Record.from_json({"format": 2})


@pytest.mark.parametrize("field", ["format", "kind", "recipe", "result", "evaluation"])
def test_a_missing_field_is_refused(field):
    entry = sample()
    del entry[field]
    with pytest.raises(KeyError, match=field):
        Record.from_json(entry)


@pytest.mark.parametrize("part", ["model", "scoring", "method"])
def test_a_missing_part_of_the_recipe_is_refused(part):
    entry = sample()
    del entry["recipe"][part]
    with pytest.raises(msgspec.ValidationError, match=part):
        Record.from_json(entry)


@pytest.mark.parametrize("field", ["weights", "tensors", "counts", "delta_sha256"])
def test_a_result_without_a_field_is_refused(field):
    entry = sample()
    del entry["result"][field]
    with pytest.raises(msgspec.ValidationError, match=field):
        Record.from_json(entry)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("kind",), "ranking"),
        (("kind",), None),
        (("recipe",), "text"),
        (("recipe", "model", "files"), ["config.json"]),
        (("recipe", "model", "files"), {"config.json": 7}),
        (("recipe", "model", "repo_id"), 7),
        (("recipe", "model", "card"), "mit"),
        (("recipe", "method"), []),
        (("recipe", "scoring", "sets"), {}),
        (("recipe", "scoring", "recipe", "seed"), "1"),
        (("result", "weights"), "3"),
        (("result", "counts"), {"up": "3"}),
        (("result", "shapes"), {"up": 4}),
        (("evaluation",), "good"),
        (("applied",), 1),
    ],
)
def test_a_value_of_another_type_is_refused(path, value):
    entry = sample()
    place = entry
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises((msgspec.ValidationError, TypeError)):
        Record.from_json(entry)


def test_a_wrong_recipe_in_a_record_is_refused():
    entry = sample()
    entry["recipe"]["scoring"]["recipe"]["samples"] = 0
    with pytest.raises(UsageError):
        Record.from_json(entry)


def test_what_a_record_gives_may_be_changed_without_changing_it():
    record = Record.from_json(sample())
    entry = record.to_json()
    entry["result"]["counts"]["up"] = 99
    entry["recipe"]["method"]["rule"] = "other"
    assert record.to_json() == sample()


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a//b", ".git/config", "a\\b", "a\0b", "x" * 256])
def test_a_file_of_the_base_that_leads_elsewhere_is_refused(name):
    entry = sample()
    entry["recipe"]["model"]["files"] = {name: "0" * 64}
    with pytest.raises(ValueError, match="no file of a model"):
        Record.from_json(entry)


@pytest.mark.parametrize("method", [{"ratios": {"a": None}}, {"q": "1"}, {"deltas": []}], ids=str)
def test_a_method_that_could_not_be_shown_is_refused(method):
    entry = sample()
    entry["recipe"]["method"] = method
    with pytest.raises(TypeError, match="method"):
        Record.from_json(entry)
