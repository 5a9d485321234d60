"""The fairness and privacy questions of Salad-Data, by its categories.

Source: L. Li et al., "SALAD-Bench: A hierarchical and comprehensive safety benchmark for large language models"
(arXiv 2402.05044); Apache-2.0. The paper (arXiv 2410.16672) asks its questions.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from spin_hub.data.sources import Resolve, read_dataset
from spin_hub.data.spec import Spec
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
