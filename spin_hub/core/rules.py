"""The table RULES of what turns a ranking into a selection: the paper's rule, its released code's, random control."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from spin_hub.core.ranking import Count, Ranking, count_of, published_count_of
from spin_hub.core.selection import PAPER, Expression, Selection


class Ratios(Protocol):
    """The part of a selection recipe that a rule reads; see :class:`spin_hub.recipe.SelectionRecipe`."""

    @property
    def p(self) -> float:
        """The ratio of ``general``."""
        ...

    @property
    def q(self) -> float:
        """The ratio of every other set."""
        ...

    @property
    def all_ratios(self) -> Mapping[str, float]:
        """Every set that takes part with its ratio."""
        ...

    @property
    def parsed(self) -> Expression:
        """The rule's expression, or the one given in its place."""
        ...

    @property
    def seed(self) -> int:
        """Of the random draws."""
        ...


@dataclass(frozen=True)
class Rule:
    """One entry of the table: a way to select weights from a ranking, with all that is said of it.

    Attributes:
        name: as in ``--rule`` and in records.
        sentence: a noun phrase for help and card, such as ``the rule as the paper defines it``.
        chosen: a noun phrase for the selected weights, for the card's first paragraph.
        select: makes the selection; the ranking holds only the part of the model that was asked for.
        card: a paragraph for the card's section on the method; may be empty.
        expression: the set expression over the top sets, which records name; None if the rule combines the paper's
            sets otherwise.
        implies: fields of the scoring recipe that the rule fixes.
        count: the number of weights of a matrix for a ratio.
        one_ratio: why p must equal q, as a clause; empty if every set may have its own ratio.
        draws: whether weights are drawn with the seed, so that their values come from the base, not from the ranking.
        takes_expression: whether ``--select`` may replace the expression, which the rule then finds in ``parsed``.
    """

    name: str
    sentence: str
    chosen: str
    select: Callable[[Ranking, Ratios], Selection]
    card: str = ""
    expression: str | None = PAPER
    implies: Mapping[str, Any] = field(default_factory=dict)
    count: Count = count_of
    one_ratio: str = ""
    draws: bool = False
    takes_expression: bool = False

    @property
    def searchable(self) -> bool:
        """True if p and q can be found by trying edits out."""
        return not (self.one_ratio or self.draws)


def by_expression(ranking: Ranking, expression: Expression, ratios: Mapping[str, float]) -> Selection:
    """Evaluate an expression over the top sets, each with its own ratio.

    With ``(fairness & privacy) - general`` these are the coupled weights of arXiv 2410.16672.
    """
    return expression.evaluate({name: ranking.top(name, ratios[name]) for name in ranking.sets if name in ratios})


def by_published_code(ranking: Ranking, p: float, q: float) -> Selection:
    """The selection of the paper's released code: boolean lists combined by position, not by index.

    With u1, u2 the sorted top indices of privacy and fairness, weight u1[k] is taken where neither u1[k]
    nor u2[k] is in the top set of general. docs/method.md shows how this differs from the definition.
    """
    # Zeros have places in these lists, but none is selected.
    privacy = ranking.top("privacy", q, published_count_of, zeros=True)
    fairness = ranking.top("fairness", q, published_count_of, zeros=True)
    general = ranking.top("general", p, published_count_of, zeros=True)
    found = {name: _by_position(privacy.of(name), fairness.of(name), general.of(name)) for name in ranking.tensors}
    return Selection(found) & ranking.top("privacy", q, published_count_of)


def at_random(ranking: Ranking, counts: Selection, seed: int) -> Selection:
    """The control: per matrix as many weights as ``counts`` has, drawn without replacement with the seed."""
    generator = np.random.default_rng(seed)
    drawn = {}
    for name, indices in counts:
        size = math.prod(ranking.tensors[name].shape)
        drawn[name] = np.sort(generator.choice(size, size=len(indices), replace=False, shuffle=False))
    return Selection(drawn)


def smallest_useful_q(ranking: Ranking, p: float) -> float | None:
    """The smallest q at which the paper's rule selects at least one weight, with this p; None beyond the ranking.

    The selection grows with q when p is fixed, so the answer is the earliest place at which a weight has
    entered both top sets without being a general one.
    """
    general = ranking.top("general", p)
    needed = math.inf
    for name, tensor in ranking.tensors.items():
        tops = (tensor.tops[set_name] for set_name in ("fairness", "privacy"))
        fairness, privacy = (np.asarray(top.indices[: top.positive]) for top in tops)
        shared, first, second = np.intersect1d(fairness, privacy, return_indices=True)
        entered = np.maximum(first, second)[~np.isin(shared, general.of(name))] + 1
        if len(entered):
            needed = min(needed, ratio_for(int(entered.min()), math.prod(tensor.shape)))
    within = needed < 1 and all(
        count_of(needed, tensor.shape) <= len(tensor.tops["fairness"].indices) for tensor in ranking.tensors.values()
    )
    return needed if within else None


def ratio_for(count: int, size: int) -> float:
    """The smallest ratio of three significant digits that selects ``count`` of ``size`` weights."""
    exponent = math.floor(math.log10(count / size)) - 2
    steps = math.floor(count / size / 10.0**exponent)
    while int(float(f"{steps}e{exponent}") * size) < count:
        steps += 1
    return float(f"{steps}e{exponent}")


def _by_position(first: NDArray[np.int64], second: NDArray[np.int64], excluded: NDArray[np.int64]) -> NDArray[np.int64]:
    keeps = ~np.isin(first, excluded) & ~np.isin(second, excluded)
    return first[keeps]


def _paper(ranking: Ranking, recipe: Ratios) -> Selection:
    return by_expression(ranking, recipe.parsed, recipe.all_ratios)


def _random(ranking: Ranking, recipe: Ratios) -> Selection:
    return at_random(ranking, _paper(ranking, recipe), recipe.seed)


def _published(ranking: Ranking, recipe: Ratios) -> Selection:
    return by_published_code(ranking, recipe.p, recipe.q)


_SHARED: Final = "weights that its examples of fairness and of privacy share and general text does not need"
DEFAULT_RULE: Final = "paper"

RULES: Final[Mapping[str, Rule]] = {
    rule.name: rule
    for rule in (
        Rule(DEFAULT_RULE, "the rule as the paper defines it", _SHARED, _paper, takes_expression=True),
        Rule(
            "published",
            "the rule as the paper's released code computes it",
            _SHARED,
            _published,
            card="""\
The released code combines the sets by position in their sorted lists instead of by weight, tokenises prompt and response apart and drops
the response's first token; this edit repeats that, with two differences: fast tokenizers are used, and equal scores are ordered by index.""",  # noqa: E501
            expression=None,
            implies={"tokenization": "published", "accumulate": "model", "chat_template": False},
            count=published_count_of,
            one_ratio="it combines the two lists by position",
        ),
        Rule(
            "random",
            "a random control: per matrix as many weights as the paper's rule would select",
            "weights drawn at random, as a control",
            _random,
            draws=True,
        ),
    )
}
"""The library's own rules; :data:`spin_hub.recipe.RULES` adds those of installed packages."""
