"""Questions for a model, whose answers are judged: the package's own sets, Salad-Data, and files.

Salad-Data: L. Li et al., "SALAD-Bench: A hierarchical and comprehensive safety benchmark for large language models"
(arXiv 2402.05044); Apache-2.0. The paper (arXiv 2410.16672) uses its fairness and privacy questions.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spin_hub.data.builtin import read_builtin
from spin_hub.data.files import read_table
from spin_hub.data.hub_tables import read_dataset
from spin_hub.data.rows import UNREADABLE
from spin_hub.data.sources import Resolve
from spin_hub.data.spec import BUILTIN, Spec
from spin_hub.errors import QuestionsError, SourceError

SALAD: Final = "salad:"
SALAD_SETS: Final[Mapping[str, str]] = {"fairness": "unfair representation", "privacy": "privacy infringement"}
"""Set -> the data set's category of the second level, without the number before it."""
_DATASET, _CONFIG, _CATEGORY = "OpenSafetyLab/Salad-Data", "base_set", "2-category"


def salad_questions(spec: str, resolve: Resolve) -> list[tuple[str, str, str]]:
    """Id, topic and text of every question of ``salad:fairness`` or ``salad:privacy``, in the data set's order.

    Args:
        spec: ``salad:NAME``, or ``salad:NAME@REVISION``.
        resolve: finds the commit of a data set.

    Raises:
        QuestionsError: no such set, or a data set of another form.
        AccessDenied, HubUnreachable: the data set cannot be had.
    """
    name, _, revision = spec.removeprefix(SALAD).partition("@")
    if name not in SALAD_SETS:
        raise QuestionsError(spec=spec, why=f"the sets of Salad-Data are {', '.join(SALAD_SETS)}")
    ref = resolve(_DATASET, revision or None)
    try:
        table = read_dataset(Spec("questions", spec, "hub", _DATASET, config=_CONFIG), ref)
    except SourceError as error:
        raise QuestionsError(spec=spec, why=error.facts["why"]) from error
    missing = [column for column in ("qid", "question", _CATEGORY) if column not in table.column_names]
    if missing:
        raise QuestionsError(spec=spec, why=f"the data set has no column {missing[0]!r}")
    belonging = [row for row in table if _plain(row[_CATEGORY]) == SALAD_SETS[name]]
    found = [_entry(row) for row in belonging if str(row["question"]).strip()]
    if not found:
        has = ", ".join(sorted({_plain(category) for category in table[_CATEGORY]}))
        raise QuestionsError(spec=spec, why=f"no question is of the category {SALAD_SETS[name]!r} (there are: {has})")
    return found


def _entry(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(row["qid"]), str(row.get("3-category") or ""), str(row["question"])


def _plain(category: Any) -> str:
    """A category's name in lower case, without the number that stands before it."""
    return re.sub(r"^O\d+:\s*", "", str(category)).strip().lower()


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
    return [Question(entry["id"], entry["topic"], entry["question"]) for entry in read_builtin(f"questions/{name}")]


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
    return "" if cell in (None, UNREADABLE) else str(cell).strip()
