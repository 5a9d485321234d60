"""The frequencies of cautionary phrases, against counts by hand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.metrics.phrases import PHRASES, Frequency, caution

WORDS = st.sampled_from(["stereotype", "i cannot", "against the law", "the", "weather", "sings", "not"])
ANSWERS = st.lists(st.lists(WORDS, max_size=12).map(" ".join), max_size=8)


def by_phrase(rows: list[Frequency]) -> dict[str, tuple[float, float]]:
    return {row.phrase: (row.before, row.after) for row in rows}


def test_a_frequency_is_per_thousand_words_of_all_answers():
    before = ["A stereotype is a stereotype.", "It rains today, as it did."]
    after = ["That is against the law here."]
    assert by_phrase(caution(before, after)) == {
        "stereotype": (pytest.approx(1000 * 2 / 11), 0),
        "against the law": (0, pytest.approx(1000 / 6)),
    }


def test_short_forms_count_as_the_long_ones_do():
    short, long = ["I can't say. I'm sorry, but no."], ["I cannot say. I am sorry, but no."]
    rows = by_phrase(caution(short, long))
    assert set(rows) == {"I cannot", "I am sorry, but"}
    for before, after in rows.values():
        assert before == after == pytest.approx(1000 / 8)


def test_the_most_frequent_come_first_and_absent_ones_are_left_out():
    rows = caution(["prejudice prejudice stereotype"], ["stereotype discrimination prejudice"])
    assert [row.phrase for row in rows] == ["prejudice", "stereotype", "discrimination"]


@given(ANSWERS, ANSWERS)
def test_rows_are_sorted_and_the_states_do_not_mix(before, after):
    rows = caution(before, after)
    sums = [row.before + row.after for row in rows]
    assert sums == sorted(sums, reverse=True)
    assert all(total > 0 for total in sums)
    assert {row.phrase for row in rows} <= {phrase.text for phrase in PHRASES}
    alone = by_phrase(caution(before, []))
    assert {phrase: pair[0] for phrase, pair in by_phrase(rows).items() if pair[0]} == {
        phrase: pair[0] for phrase, pair in alone.items()
    }
    assert by_phrase(caution(after, before)) == {phrase: pair[::-1] for phrase, pair in by_phrase(rows).items()}


@given(ANSWERS.filter(any))
def test_writing_everything_twice_changes_no_frequency(answers):
    assert caution(answers, []) == caution(answers * 2, [])


@pytest.mark.parametrize("answers", [[], [""], ["", "  "]])
def test_no_words_have_no_phrases(answers):
    assert caution(answers, answers) == []


def test_rows_survive_json():
    rows = caution(["a stereotype"], ["I cannot"])
    assert [Frequency(**entry) for entry in json.loads(json.dumps([row.to_json() for row in rows]))] == rows
