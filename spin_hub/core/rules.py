"""The rules that turn a ranking into a selection: the paper's, its published code's, and the random control."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spin_hub.core.expression import Expression
from spin_hub.core.ranking import Ranking, count_of, published_count_of
from spin_hub.core.selection import Selection


def by_expression(ranking: Ranking, expression: Expression, ratios: Mapping[str, float]) -> Selection:
    """Evaluates an expression over the top sets, each with its own ratio.

    With ``(fairness & privacy) - general`` these are the coupled weights of arXiv 2410.16672.
    """
    return expression.evaluate({name: ranking.top(name, ratios[name]) for name in ranking.sets if name in ratios})


def by_published_code(ranking: Ranking, p: float, q: float) -> Selection:
    """What the paper's released code zeroes: boolean lists combined by position, not by index.

    With u1, u2 the sorted top indices of privacy and fairness, weight u1[k] is taken where neither u1[k]
    nor u2[k] is in the top set of general. docs/method.md shows how this differs from the definition.
    """
    privacy = ranking.top("privacy", q, published_count_of)
    fairness = ranking.top("fairness", q, published_count_of)
    general = ranking.top("general", p, published_count_of)
    return Selection(
        {name: _by_position(privacy.of(name), fairness.of(name), general.of(name)) for name in ranking.tensors}
    )


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
        fairness, privacy = (np.asarray(tensor.tops[set_name].indices) for set_name in ("fairness", "privacy"))
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
