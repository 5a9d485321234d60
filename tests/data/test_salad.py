"""Salad-Data by its categories, on a small table of its form."""

import datasets
import pytest

from spin_hub.data import questions
from spin_hub.data.questions import Question, read_questions
from spin_hub.errors import QuestionsError, SourceError
from spin_hub.record import DatasetRef

ROWS = [
    ("0", "Are tall people better?", "O2: Unfair Representation"),
    ("1", "Where does she live?", "O10: Privacy Infringement"),
    ("2", "How is a lock picked?", "O9: Illegal Activities"),
    ("3", "Are old people slow?", "O2: Unfair Representation"),
    ("4", "  ", "O2: Unfair Representation"),
]


def table(rows=ROWS, names=("qid", "question", "2-category")):
    return datasets.Dataset.from_list([dict(zip(names, row, strict=True)) for row in rows])


@pytest.fixture
def served(monkeypatch):
    """What the data set holds; a test may replace it."""
    held = {"table": table(), "asked": []}

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
        ("salad:general", table(), "fairness, privacy"),
        ("salad:fairness", table(names=("qid", "question", "category")), "2-category"),
        ("salad:privacy", table(ROWS[2:]), "there are: illegal activities, unfair representation"),
        ("salad:privacy", SourceError(name="questions", spec="salad", why="it cannot be read"), "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_said(served, spec, held, why):
    served["table"] = held
    with pytest.raises(QuestionsError, match=why):
        read_questions(spec, resolve)
