"""HSIC against a loop from the textbook, and the mean over all pairings against all pairings."""

import itertools
import math

import numpy as np
import pytest

from spin_hub.metrics.coupling import hsic, kernel


def vectors(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def textbook(x: np.ndarray, y: np.ndarray) -> float:
    """By the definition of the biased estimator, element by element, with the kernels' means taken out."""

    def gram(rows):
        n = len(rows)
        squared = [[sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) for q in rows] for p in rows]
        width = np.median([squared[i][j] for i in range(n) for j in range(i + 1, n)])
        return [[math.exp(-entry / (2 * width)) for entry in row] for row in squared]

    def raw(k, other):
        n = len(k)
        joint = sum(k[i][j] * other[i][j] for i in range(n) for j in range(n)) / n**2
        means = sum(map(sum, k)) * sum(map(sum, other)) / n**4
        mixed = sum(k[i][j] * other[i][q] for i in range(n) for j in range(n) for q in range(n)) / n**3
        return joint + means - 2 * mixed

    first, second = gram(x), gram(y)
    return raw(first, second) / math.sqrt(raw(first, first) * raw(second, second))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("d", "e"), [(1, 1), (3, 7), (20, 2)])
def test_it_is_the_textbook_loop(seed, d, e):
    x, y = vectors(9, d, seed), vectors(9, e, seed + 100)
    y[:, 0] += 2 * x[:, 0]
    assert hsic(kernel(x), kernel(y)).value == pytest.approx(textbook(x, y), rel=1e-9)


def test_chance_is_the_mean_over_all_pairings():
    x, y = kernel(vectors(6, 3, 0)), kernel(vectors(6, 3, 1))
    orders = list(itertools.permutations(range(6)))
    values = [hsic(x, y[np.ix_(order, order)]).value for order in orders]
    assert hsic(x, y).chance == pytest.approx(sum(values) / len(values), rel=1e-9)


def test_a_set_depends_wholly_on_itself_and_scale_and_origin_do_not_matter():
    x = vectors(12, 4, 0)
    assert hsic(kernel(x), kernel(x)).value == pytest.approx(1)
    assert hsic(kernel(x), kernel(1e3 * x + 7e4)).value == pytest.approx(1)
    y = vectors(12, 4, 1)
    assert hsic(kernel(x), kernel(y)).value == pytest.approx(hsic(kernel(y), kernel(x)).value)


def test_dependent_vectors_lie_above_chance_and_independent_ones_at_it():
    x, y = vectors(200, 3, 0), vectors(200, 3, 1)
    apart, together = hsic(kernel(x), kernel(y)), hsic(kernel(x), kernel(x + 0.3 * y))
    assert apart.value == pytest.approx(apart.chance, abs=0.02)
    assert together.value > together.chance + 0.5


def test_equal_vectors_tell_nothing():
    assert hsic(kernel(np.ones((5, 3))), kernel(vectors(5, 3, 0))).value == 0


def test_too_few_pairs_are_refused():
    with pytest.raises(ValueError, match="three or more"):
        hsic(kernel(vectors(2, 3, 0)), kernel(vectors(2, 3, 1)))
    with pytest.raises(ValueError, match="same"):
        hsic(kernel(vectors(4, 3, 0)), kernel(vectors(5, 3, 1)))
