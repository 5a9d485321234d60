"""The named recipes, on small tables of the real data sets' form."""

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.data.recipes import FAIRNESS, PHRASES, PRIVACY, RECIPES, SAFETY, pattern
from spin_hub.data.rows import NUMBER, Table

FAIRNESS_LABEL, PRIVACY_LABEL = "discrimination,stereotype,injustice", "privacy_violation"
LABELS = (
    "animal_abuse", "child_abuse", "controversial_topics,politics", FAIRNESS_LABEL,
    "drug_abuse,weapons,banned_substance", "financial_crime,property_crime,theft", "hate_speech,offensive_language",
    "misinformation_regarding_ethics,laws_and_safety", "non_violent_unethical_behavior", PRIVACY_LABEL, "self_harm",
    "sexually_explicit,adult_content", "terrorism,organized_crime", "violence,aiding_and_abetting,incitement",
)  # fmt: skip


def table_of(entries):
    return Table({name: pa.chunked_array([[entry[name] for entry in entries]]) for name in entries[0]})


def beavertails(*rows):
    entries = [
        {
            "prompt": prompt,
            "response": f"response {number}",
            "category": {label: label in labels for label in LABELS},
            "is_safe": not labels,
        }
        for number, (prompt, labels) in enumerate(rows)
    ]
    return table_of(entries)


def numbers(recipe, table):
    rows = RECIPES[recipe].rows(table)
    assert set(rows.column_names) == {"prompt", "response", NUMBER}
    responses = table["response" if "response" in table.column_names else "output"]
    assert all(responses[row[NUMBER]] == row["response"] for row in rows)
    return rows[NUMBER]


TABLE = beavertails(
    ("who lives there?", {PRIVACY_LABEL}),
    ("who lives there?", set()),
    ("who lives there?", {"self_harm"}),
    ("who is best?", {FAIRNESS_LABEL, PRIVACY_LABEL}),
    ("what is a cat?", set()),
    ("who is best?", set()),
    ("what is a gun?", {"animal_abuse"}),
)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("privacy-safe", [1, 5]),
        ("privacy-unsafe", [0, 3]),
        ("fairness-safe", [5]),
        ("fairness-unsafe", [3]),
    ],
)
def test_beavertails_takes_prompts_with_any_response_in_the_category(recipe, expected):
    assert numbers(f"beavertails:{recipe}", TABLE) == expected


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sets(st.sampled_from(LABELS))), min_size=1, max_size=12))
def test_beavertails_agrees_with_a_loop(rows):
    table = beavertails(*rows)
    concerned = {prompt for prompt, labels in rows if PRIVACY_LABEL in labels}
    safe = [n for n, (prompt, labels) in enumerate(rows) if prompt in concerned and not labels]
    assert numbers("beavertails:privacy-safe", table) == safe
    assert numbers("beavertails:privacy-unsafe", table) == [
        n for n, (_, labels) in enumerate(rows) if PRIVACY_LABEL in labels
    ]


def test_rows_without_labels_belong_to_no_set():
    unlabelled = {"prompt": "who lives there?", "response": "x", "category": None, "is_safe": None}
    table = table_of([*TABLE, unlabelled])
    assert numbers("beavertails:privacy-safe", table) == [1, 5]
    assert numbers("beavertails:privacy-unsafe", table) == [0, 3]


def alpaca(*rows):
    return table_of([dict(zip(("instruction", "input", "output"), row, strict=True)) for row in rows])


def test_alpaca_loses_the_rows_with_a_phrase_anywhere():
    table = alpaca(
        ("Name three fruits.", "", "Apples, pears, plums."),
        ("Write a Password policy.", "", "It is long."),
        ("Sum up.", "He was murdered.", "A short text."),
        ("Sum up.", "A cat sat.", "It speaks of gender."),
        ("Add the numbers.", "1 and 2", "3"),
        ("Say hello.", " ", "Hello!"),
        ("Embrace the begun terrace.", "", "Grace traced the space."),
    )
    recipe = RECIPES["alpaca-cleaned:no-safety"]
    assert numbers("alpaca-cleaned:no-safety", table) == [0, 4, 5, 6]
    prompts = recipe.rows(table)["prompt"]
    assert prompts[:3] == ["Name three fruits.", "Add the numbers.\n\n1 and 2", "Say hello."]


def test_every_phrase_is_found_and_only_as_words():
    assert all(phrase == phrase.lower().strip() for phrase in PHRASES)
    assert len(PHRASES) == len(SAFETY) + len(PRIVACY) + len(FAIRNESS)
    texts = [f"about {phrase.removesuffix('*')}, or so" for phrase in PHRASES]
    assert all(re.search(pattern(), text) for text in texts)
    assert not numbers("alpaca-cleaned:no-safety", alpaca(*((text.upper(), "", "Yes.") for text in texts)))
    assert not re.search(pattern(("race", "bomb*")), "a racer embraces a plumbbomb and traces")
    assert re.search(pattern(("race", "bomb*")), "bombastic")


def test_recipes_say_what_they_are():
    note = RECIPES["alpaca-cleaned:no-safety"].note
    assert note.startswith("approximate")
    assert all(phrase in note for phrase in PHRASES)
    assert RECIPES["alpaca-cleaned:no-safety"].licence.format(card="cc-by-4.0") == "cc-by-4.0 (disputed)"
    assert {RECIPES[name].licence for name in RECIPES if name.startswith("beaver")} == {"cc-by-nc-4.0"}


def test_a_cut_of_three_hundred_thousand_rows_is_whole():
    big = Table({name: pa.chunked_array(column.chunks * 43_000) for name, column in TABLE.columns.items()})
    assert len(RECIPES["beavertails:privacy-safe"].rows(big)) == 2 * 43_000
