"""Built-in preference pairs: one prompt with an aware and an unaware answer, apart from the calibration rows."""

from dataclasses import dataclass
from typing import Final

from spin_hub.data.builtin import read_builtin
from spin_hub.data.examples import Example, Tokenizer, make_examples
from spin_hub.data.rows import Row
from spin_hub.recipe import ScoringRecipe

AXES: Final = ("fairness", "privacy")


@dataclass(frozen=True)
class Pair:
    """A prompt and two answers of similar length and style."""

    prompt: str
    aware: str
    unaware: str


def builtin_pairs(axis: str) -> tuple[Pair, ...]:
    """The pairs of one axis, in the order of the file.

    Raises:
        FileNotFoundError: there is no such axis.
    """
    return tuple(Pair(entry["prompt"], entry["aware"], entry["unaware"]) for entry in read_builtin(f"pairs/{axis}"))


def pair_examples(axis: str, tokenizer: Tokenizer, recipe: ScoringRecipe) -> list[tuple[Example, Example]]:
    """The pairs of one axis as tokens: (aware, unaware), with the answers' tokens counting.

    Raises:
        NoChatTemplate: a chat template is asked for and cannot be used.
    """
    pairs = builtin_pairs(axis)
    aware = [Row(pair.prompt, pair.aware, number) for number, pair in enumerate(pairs)]
    unaware = [Row(pair.prompt, pair.unaware, number) for number, pair in enumerate(pairs)]
    name = f"{axis} pairs"
    return list(
        zip(
            make_examples(name, aware, tokenizer, recipe),
            make_examples(name, unaware, tokenizer, recipe),
            strict=True,
        )
    )
