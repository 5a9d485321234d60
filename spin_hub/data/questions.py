"""Questions that a model is asked so that its answers can be judged: the package's own sets, Salad-Data, files."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from spin_hub.data.salad import SALAD, salad_questions
from spin_hub.data.sources import Resolve, read_table
from spin_hub.data.spec import BUILTIN, Spec
from spin_hub.errors import QuestionsError, SourceError

QUESTION_SETS: Final = ("fairness", "privacy", "safety", "lookalike")
"""The built-in sets: three of questions to be careful with, and one of harmless questions that look like these."""


@dataclass(frozen=True)
class Question:
    """One question, what it is about, and an id that no other question of its set has."""

    id: str
    topic: str
    text: str


def builtin_questions(name: str) -> list[Question]:
    """All questions of a built-in set, in the order of the file: any beginning of it spans the set's topics.

    Raises:
        KeyError: there is no such set.
    """
    if name not in QUESTION_SETS:
        raise KeyError(name)
    text = (files("spin_hub.data") / "builtin" / "questions" / f"{name}.jsonl").read_text("utf-8")
    entries = [json.loads(line) for line in text.splitlines()]
    return [Question(entry["id"], entry["topic"], entry["question"]) for entry in entries]


def read_questions(spec: str, resolve: Resolve) -> list[Question]:
    """The questions of a source, in its order; an existing file wins over a built-in set.

    Args:
        spec: ``builtin:NAME``, ``salad:fairness``, ``salad:privacy``, or a CSV, JSONL or Parquet file. Its column
            ``question`` is read, and ``id`` and ``topic`` where they are there; a question without an id is called by
            its row, the first being "row 1".
        resolve: finds the commit of a data set.

    Raises:
        QuestionsError: the source is not there, cannot be read, or is not a table of questions with ids of their own.
        AccessDenied, HubUnreachable: the data set cannot be had.
    """
    if Path(spec).expanduser().is_file():
        return _questions(spec)
    if spec.startswith(SALAD):
        return [Question(*entry) for entry in salad_questions(spec, resolve)]
    if not spec.startswith(BUILTIN):
        raise QuestionsError(spec=spec, why="there is no such file")
    try:
        return builtin_questions(spec.removeprefix(BUILTIN))
    except KeyError:
        raise QuestionsError(spec=spec, why=f"the built-in sets are {', '.join(QUESTION_SETS)}") from None


def _questions(spec: str) -> list[Question]:
    try:
        table = read_table(Spec("questions", spec, "file", spec))
    except SourceError as error:
        # A calibration set's error would advise columns that questions do not have.
        raise QuestionsError(spec=spec, why=error.facts["why"]) from error
    if "question" not in table.column_names:
        raise QuestionsError(spec=spec, why=f"it has no column 'question' (it has: {', '.join(table.column_names)})")
    questions = [_question(spec, number, entry) for number, entry in enumerate(table, 1)]
    name, uses = Counter(question.id for question in questions).most_common(1)[0]
    if uses > 1:
        raise QuestionsError(spec=spec, why=f"{uses} of its questions have the id {name!r}")
    return questions


def _question(spec: str, number: int, entry: Mapping[str, Any]) -> Question:
    text = entry["question"]
    if not isinstance(text, str):
        raise QuestionsError(spec=spec, why=f"the question in row {number} is not text")
    if not text.strip():
        raise QuestionsError(spec=spec, why=f"the question in row {number} is empty")
    return Question(_word(entry.get("id")) or f"row {number}", _word(entry.get("topic")), text)


def _word(cell: Any) -> str:
    """A cell as text: ids may be numbers, and a cell may be missing."""
    return "" if cell is None else str(cell).strip()
