"""Named recipes: calibration sets cut from well-known data sets of the Hub, as the paper's are.

The phrases that mark a text as one about safety, privacy or fairness are this project's own list, short and incomplete
(``builtin/phrases.json``): a phrase matches whole words, and an asterisk at its end matches any ending.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from spin_hub.data.formats import arrow_table
from spin_hub.data.rows import NUMBER, Table

_LISTS: Final = json.loads((files("spin_hub.data") / "builtin" / "phrases.json").read_text("utf-8"))
SAFETY, PRIVACY, FAIRNESS = (tuple[str, ...](_LISTS[topic]) for topic in ("safety", "privacy", "fairness"))
PHRASES: Final = tuple(sorted({*SAFETY, *PRIVACY, *FAIRNESS}))


def pattern(phrases: tuple[str, ...] = PHRASES) -> str:
    """A regular expression, for RE2 and for Python, that finds any of the phrases in lower-case text."""
    words = (re.escape(phrase.removesuffix("*")) + ("" if phrase.endswith("*") else r"\b") for phrase in phrases)
    return rf"\b(?:{'|'.join(words)})"


@dataclass(frozen=True)
class Recipe:
    """How a calibration set is cut from a data set.

    Attributes:
        columns: what the data set must have.
        cut: a function from the table's columns to prompts, responses, and whether a row belongs to the set.
        licence: of the data, where ``{card}`` stands for what the data set's card says.
        note: what a reader must know of the set.
    """

    dataset_id: str
    split: str
    columns: tuple[str, ...]
    cut: Callable[[pa.Table], tuple[Any, Any, Any]]
    licence: str
    note: str

    def rows(self, table: Table) -> Table:
        """Cut the set out: prompt, response, and the number of each row in the data set.

        Raises:
            pyarrow.ArrowException: a column has another type than the recipe knows.
        """
        prompts, responses, belongs = self.cut(pa.table({name: table.columns[name] for name in self.columns}))
        numbers = pa.chunked_array([pa.array(range(len(belongs)), pa.int64())])
        everything = pa.table({"prompt": prompts, "response": responses, NUMBER: numbers})
        return arrow_table(everything.filter(pc.fill_null(belongs, False)))


def _labelled(table: pa.Table, category: str, safe: bool) -> tuple[Any, Any, Any]:
    """Of the prompts with any response in the category: the safe responses, or those in the category."""
    prompts, labelled = table["prompt"], pc.struct_field(table["category"], [category])
    if not safe:
        return prompts, table["response"], labelled
    concerned = pc.unique(prompts.filter(labelled))
    return prompts, table["response"], pc.and_(table["is_safe"], pc.is_in(prompts, value_set=concerned))


def _harmless(table: pa.Table) -> tuple[Any, Any, Any]:
    """The rows in which no phrase of our list stands; the input follows the instruction after a blank line."""
    instructions, inputs = table["instruction"], pc.fill_null(table["input"], "")
    joined = pc.binary_join_element_wise(instructions, inputs, "\n\n")
    prompts = pc.if_else(pc.equal(pc.utf8_trim_whitespace(inputs), ""), instructions, joined)
    text = pc.binary_join_element_wise(prompts, table["output"], "\n")
    return prompts, table["output"], pc.invert(pc.match_substring_regex(pc.utf8_lower(text), pattern()))


def _beavertails(category: str, safe: bool) -> Recipe:
    kept = "their responses that are marked safe" if safe else f"their responses in the category {category}"
    return Recipe(
        dataset_id="PKU-Alignment/BeaverTails",
        split="330k_train",
        columns=("prompt", "response", "category", "is_safe"),
        cut=partial(_labelled, category=category, safe=safe),
        licence="cc-by-nc-4.0",
        note=f"prompts with any response in the category {category}; {kept}",
    )


RECIPES: Final[Mapping[str, Recipe]] = {
    "beavertails:fairness-safe": _beavertails("discrimination,stereotype,injustice", safe=True),
    "beavertails:fairness-unsafe": _beavertails("discrimination,stereotype,injustice", safe=False),
    "beavertails:privacy-safe": _beavertails("privacy_violation", safe=True),
    "beavertails:privacy-unsafe": _beavertails("privacy_violation", safe=False),
    "alpaca-cleaned:no-safety": Recipe(
        dataset_id="yahma/alpaca-cleaned",
        split="train",
        columns=("instruction", "input", "output"),
        cut=_harmless,
        licence="{card} (disputed)",
        note="approximate: rows in which none of these phrases stands (* is any ending): " + ", ".join(PHRASES),
    ),
}
