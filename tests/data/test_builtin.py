"""What the built-in sets must be like."""

import json
from collections import Counter
from importlib.resources import files

import pytest

from spin_hub.data.builtin import AXES, builtin_names, builtin_pairs, builtin_rows

NAMES = ("fairness", "general", "privacy")


def entries(name: str) -> list[dict[str, str]]:
    text = (files("spin_hub.data") / "builtin" / f"{name}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_the_sets_are_there():
    assert builtin_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_third_is_held_out_and_no_row_is_empty_or_doubled(name):
    rows = entries(name)
    assert Counter(row["split"] for row in rows) == {"calibration": 128, "heldout": 64}
    assert all(set(row) == {"id", "split", "topic", "prompt", "response"} for row in rows)
    assert all(value and value == value.strip() for row in rows for value in row.values())
    for key in ("id", "prompt", "response"):
        assert len({row[key] for row in rows}) == len(rows)


@pytest.mark.parametrize("name", NAMES)
def test_both_splits_span_all_topics(name):
    rows = entries(name)
    topics = {split: {row["topic"] for row in rows if row["split"] == split} for split in ("calibration", "heldout")}
    assert topics["calibration"] == topics["heldout"]
    assert len(topics["heldout"]) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_prompts_are_varied_and_not_templated(name):
    words = [set(row["prompt"].lower().split()) for row in entries(name)]
    for number, first in enumerate(words):
        for second in words[:number]:
            assert len(first & second) <= 0.6 * len(first | second)
    for key in ("prompt", "response"):
        openings = Counter(tuple(row[key].lower().split()[:3]) for row in entries(name))
        assert openings.most_common(1)[0][1] <= 0.08 * len(words)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_a_split_keep_their_place_in_the_file(name):
    everything = entries(name)
    for split in ("calibration", "heldout"):
        for row in builtin_rows(name, split):
            assert everything[row.number]["prompt"] == row.prompt
            assert everything[row.number]["split"] == split


# --- preference pairs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", AXES)
def test_pairs_are_many_whole_and_of_like_length(axis):
    pairs = builtin_pairs(axis)
    assert len(pairs) >= 60
    for pair in pairs:
        assert all(text and text == text.strip() for text in (pair.prompt, pair.aware, pair.unaware))
        aware, unaware = len(pair.aware.split()), len(pair.unaware.split())
        assert max(aware, unaware) <= 1.3 * min(aware, unaware) + 1
    shorter = sum(len(pair.aware.split()) < len(pair.unaware.split()) for pair in pairs)
    assert 0.4 <= shorter / len(pairs) <= 0.6


@pytest.mark.parametrize("axis", AXES)
def test_pairs_stand_apart_from_the_calibration_rows(axis):
    rows = [set(row["prompt"].lower().split()) for name in NAMES for row in entries(name)]
    for pair in builtin_pairs(axis):
        words = set(pair.prompt.lower().split())
        assert all(len(words & other) < 0.5 * len(words | other) for other in rows)
