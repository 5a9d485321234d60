"""What the built-in questions must be like, and how questions are read from files."""

import json
import re
from collections import Counter
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pandas
import pytest

from spin_hub.data import questions
from spin_hub.data.builtin import AXES, builtin_pairs
from spin_hub.data.questions import QUESTION_SETS, Question, builtin_questions, read_questions
from spin_hub.data.rows import Table
from spin_hub.errors import QuestionsError, SourceError
from spin_hub.record import DatasetRef

SIZES = {"fairness": 160, "privacy": 160, "safety": 120, "lookalike": 120}
TOPICS = {"fairness": 12, "privacy": 12, "safety": 12, "lookalike": 3}
CALIBRATION = ("fairness", "general", "privacy")
WORDS_LIMIT, TWOS_LIMIT = 0.6, 0.5


def no_hub(dataset_id, revision):
    raise AssertionError("these questions need no Hub")


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def likeness(firsts: list[list[str]], seconds: list[list[str]]) -> np.ndarray:
    """The Jaccard index of every two sets of words."""
    places = {word: place for place, word in enumerate({word for terms in firsts + seconds for word in terms})}

    def table(lists):
        marks = np.zeros((len(lists), len(places)), np.float32)
        for row, terms in zip(marks, lists, strict=True):
            row[[places[term] for term in terms]] = 1
        return marks

    one, other = table(firsts), table(seconds)
    shared = one @ other.T
    return shared / (one.sum(1)[:, None] + other.sum(1) - shared)


def near(firsts: list[str], seconds: list[str]) -> list[tuple[str, str]]:
    """Every two texts that have most of their words, or half of their neighbouring words, in common."""
    one, other = [words(text) for text in firsts], [words(text) for text in seconds]
    twos = [[[" ".join(pair) for pair in pairwise(text)] for text in texts] for texts in (one, other)]
    found = (likeness(one, other) >= WORDS_LIMIT) | (likeness(*twos) >= TWOS_LIMIT)
    return [(firsts[row], seconds[column]) for row, column in np.argwhere(found)]


def everything() -> list[str]:
    return [question.text for name in QUESTION_SETS for question in builtin_questions(name)]


def prompts() -> list[str]:
    folder = files("spin_hub.data") / "builtin"
    lines = [line for name in CALIBRATION for line in (folder / f"{name}.jsonl").read_text("utf-8").splitlines()]
    return [json.loads(line)["prompt"] for line in lines] + [p.prompt for axis in AXES for p in builtin_pairs(axis)]


# --- built-in sets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUESTION_SETS)
def test_a_set_is_large_and_its_lines_are_whole(name):
    text = (files("spin_hub.data") / "builtin" / "questions" / f"{name}.jsonl").read_text("utf-8")
    entries = [json.loads(line) for line in text.splitlines()]
    assert len(entries) >= SIZES[name]
    assert all(list(entry) == ["id", "topic", "question"] for entry in entries)
    assert all(value and value == value.strip() for entry in entries for value in entry.values())
    assert [entry["id"] for entry in entries] == [f"{name}-q{number:03d}" for number in range(1, len(entries) + 1)]
    assert builtin_questions(name) == [Question(e["id"], e["topic"], e["question"]) for e in entries]


def test_there_are_no_other_sets():
    folder = files("spin_hub.data") / "builtin" / "questions"
    assert {entry.name for entry in folder.iterdir()} == {f"{name}.jsonl" for name in QUESTION_SETS}
    with pytest.raises(KeyError):
        builtin_questions("general")


@pytest.mark.parametrize("name", QUESTION_SETS)
def test_topics_are_many_and_of_like_size_and_any_beginning_spans_them(name):
    topics = [question.topic for question in builtin_questions(name)]
    sizes = Counter(topics)
    assert len(sizes) >= TOPICS[name]
    assert max(sizes.values()) <= 1.1 * min(sizes.values())
    assert set(topics[: len(sizes)]) == set(sizes)


@pytest.mark.parametrize("name", QUESTION_SETS)
def test_questions_are_short_and_open_in_many_ways(name):
    questions = builtin_questions(name)
    assert all(5 <= len(question.text.split()) <= 40 for question in questions)
    openings = Counter(tuple(words(question.text)[:2]) for question in questions)
    assert openings.most_common(1)[0][1] <= 0.06 * len(questions)


def test_nearness_sees_what_is_nearly_the_same():
    text = "Who keeps the spare key of the house on the corner?"
    changed = ["who keeps a spare key of the house at the corner", "Who keeps the spare key of my old house?"]
    assert near([text], [*changed, "Who has the longest beard in the choir?"]) == [(text, other) for other in changed]
    assert near([text], ["The house on the corner, of the spare key: who keeps?"])


def test_no_two_questions_are_nearly_the_same():
    texts = everything()
    assert near(texts, texts) == [(text, text) for text in texts]


def test_questions_stand_apart_from_what_an_edit_is_made_with():
    assert not near(everything(), prompts())


# --- reading -----------------------------------------------------------------------------------------------


def write(path, rows):
    match path.suffix:
        case ".csv":
            pandas.DataFrame(rows).to_csv(path, index=False)
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".parquet":
            pandas.DataFrame(rows).to_parquet(path)
    return str(path)


def test_builtin_sets_are_read_by_name():
    for name in QUESTION_SETS:
        assert read_questions(f"builtin:{name}", no_hub) == builtin_questions(name)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_files_are_read_in_order(tmp_path, suffix):
    rows = [{"question": f"Is {n} odd, and why?", "id": f"n{n}", "topic": "numbers", "more": n} for n in (3, 1, 2)]
    expected = [Question(f"n{n}", "numbers", f"Is {n} odd, and why?") for n in (3, 1, 2)]
    assert read_questions(write(tmp_path / f"mine{suffix}", rows), no_hub) == expected


def test_ids_and_topics_may_be_missing_and_ids_may_be_numbers(tmp_path):
    bare = write(tmp_path / "bare.csv", [{"question": "Why?"}, {"question": "None"}])
    assert read_questions(bare, no_hub) == [Question("row 1", "", "Why?"), Question("row 2", "", "None")]
    numbered = write(tmp_path / "numbered.jsonl", [{"id": 7, "question": "Why?"}, {"id": None, "question": "How?"}])
    assert [question.id for question in read_questions(numbered, no_hub)] == ["7", "row 2"]


def test_a_file_wins_over_a_builtin_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "builtin:mine.csv").write_text("question\nWhy is the sky blue?\n")
    assert [question.text for question in read_questions("builtin:mine.csv", no_hub)] == ["Why is the sky blue?"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("data.csv", "", "the file is empty"),
        ("data.csv", "question\n", "it has no rows"),
        ("data.json", "[]", "it has no rows"),
        ("data.jsonl", "{", "line 1 of data.jsonl is not JSON"),
        ("data.txt", "question", "not a known kind"),
        ("data.csv", "prompt,id\nWhy?,1\n", r"no column 'question' \(it has: prompt, id\)"),
        ("data.jsonl", '{"question": "Why?"}\n{"question": " "}\n', "row 2 is empty"),
        ("data.jsonl", '{"question": "Why?"}\n{"question": null}\n', "row 2 is not text"),
        ("data.jsonl", '{"question": 1}\n', "row 1 is not text"),
        ("data.csv", "question,id\nWhy?,a\nHow?,b\nWhen?,a\n", "2 of its questions have the id 'a'"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(QuestionsError, match=said) as caught:
        read_questions(str(path), no_hub)
    assert str(path) in caught.value.message
    assert "builtin:lookalike" in caught.value.hint


def test_sources_that_are_not_there():
    with pytest.raises(QuestionsError, match="fairness, privacy, safety, lookalike"):
        read_questions("builtin:general", no_hub)
    for spec in ("nowhere.csv", "org/name", ""):
        with pytest.raises(QuestionsError, match="no such file"):
            read_questions(spec, no_hub)


# --- Salad-Data -------------------------------------------------------------------------------------------


SALAD = [
    ("0", "Are tall people better?", "O2: Unfair Representation"),
    ("1", "Where does she live?", "O10: Privacy Infringement"),
    ("2", "How is a lock picked?", "O9: Illegal Activities"),
    ("3", "Are old people slow?", "O2: Unfair Representation"),
    ("4", "  ", "O2: Unfair Representation"),
]


def salad(rows=SALAD, names=("qid", "question", "2-category")):
    return Table.of_records([dict(zip(names, row, strict=True)) for row in rows])


@pytest.fixture
def served(monkeypatch):
    """What the data set holds; a test may replace it."""
    held = {"table": salad(), "asked": []}

    def read(spec, ref):
        held["asked"].append((spec.target, spec.config, spec.split, ref.commit))
        if isinstance(held["table"], Exception):
            raise held["table"]
        return held["table"]

    monkeypatch.setattr(questions, "read_dataset", read)
    return held


def resolve(dataset_id, revision):
    return DatasetRef(dataset_id, f"commit of {revision}", "apache-2.0")


def test_a_set_is_a_category_whatever_its_number(served):
    assert read_questions("salad:fairness", resolve) == [
        Question("0", "", "Are tall people better?"),
        Question("3", "", "Are old people slow?"),
    ]
    assert read_questions("salad:privacy@v1", resolve) == [Question("1", "", "Where does she live?")]
    assert served["asked"] == [
        ("OpenSafetyLab/Salad-Data", "base_set", "train", "commit of None"),
        ("OpenSafetyLab/Salad-Data", "base_set", "train", "commit of v1"),
    ]


@pytest.mark.parametrize(
    ("spec", "held", "why"),
    [
        ("salad:general", salad(), "fairness, privacy"),
        ("salad:fairness", salad(names=("qid", "question", "category")), "2-category"),
        ("salad:privacy", salad(SALAD[2:]), "there are: illegal activities, unfair representation"),
        ("salad:privacy", SourceError(name="questions", spec="salad", why="it cannot be read"), "cannot be read"),
    ],
)
def test_salad_data_of_another_form_are_refused(served, spec, held, why):
    served["table"] = held
    with pytest.raises(QuestionsError, match=why):
        read_questions(spec, resolve)
