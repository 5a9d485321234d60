import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.ranking import RankedTensor, Ranking, TopWeights
from spin_hub.core.rules import at_random, by_expression, by_published_code, ratio_for, smallest_useful_q
from spin_hub.core.selection import PAPER, Selection, parse
from spin_hub.errors import RatioBeyondRanking, UnknownSet

SETS = ("fairness", "general", "privacy")
RATIOS = st.floats(0, 1, exclude_min=True, exclude_max=True) | st.integers(1, 99).map(lambda percent: percent / 100)


def order_of(scores):
    return sorted(range(len(scores)), key=lambda place: (-scores[place], place))


def ranking_of(scores, shapes):
    """A ranking that keeps every weight; ``scores`` is tensor -> set -> importance of each weight."""
    tensors = {}
    for tensor, by_set in scores.items():
        tops = {}
        for name, values in by_set.items():
            order = np.array(order_of(values), dtype=np.int64)
            importance = np.array(values, dtype=np.float32)[order]
            tops[name] = TopWeights(order, importance, np.zeros((len(order), 2), np.uint8))
        tensors[tensor] = RankedTensor(shapes[tensor], "BF16", tops)
    return Ranking(tensors, 1.0)


@st.composite
def scored(draw, tensors=("down", "up")):
    """Shapes and importances with many ties."""
    shapes = {tensor: (draw(st.integers(1, 6)), draw(st.integers(1, 9))) for tensor in tensors}
    scores = {
        tensor: {
            name: draw(st.lists(st.integers(0, 9), min_size=math.prod(shape), max_size=math.prod(shape)))
            for name in SETS
        }
        for tensor, shape in shapes.items()
    }
    return scores, shapes


def lists(chosen):
    return {tensor: indices.tolist() for tensor, indices in chosen}


def nonempty(chosen):
    return {tensor: sorted(members) for tensor, members in chosen.items() if members}


def best(scores, count):
    """The places of the highest scores above 0."""
    return {place for place in order_of(scores)[:count] if scores[place] > 0}


def coupled(scores, shapes, p, q):
    """The rule as the paper defines it, per matrix with Python's own sets."""
    chosen = {}
    for tensor, by_set in scores.items():
        size = math.prod(shapes[tensor])
        fairness, privacy = (best(by_set[name], int(q * size)) for name in ("fairness", "privacy"))
        chosen[tensor] = (fairness & privacy) - best(by_set["general"], int(p * size))
    return nonempty(chosen)


def published(scores, shapes, p, q):
    """The rule as the released code computes it, line by line from the design."""
    chosen = {}
    for tensor, by_set in scores.items():
        rows, columns = shapes[tensor]
        u1 = sorted(order_of(by_set["privacy"])[: int(q * columns * rows)])
        u2 = sorted(order_of(by_set["fairness"])[: int(q * columns * rows)])
        general = order_of(by_set["general"])[: int(p * columns * rows)]
        m1 = [index not in general for index in u1]
        m2 = [index not in general for index in u2]
        chosen[tensor] = {u1[k] for k in range(len(u1)) if m1[k] and m2[k] and by_set["privacy"][u1[k]] > 0}
    return nonempty(chosen)


def by_paper(ranking, p, q):
    return by_expression(ranking, parse(PAPER), {"fairness": q, "privacy": q, "general": p})


@given(scored(), RATIOS, RATIOS)
def test_the_paper_rule_is_that_of_python_sets(made, p, q):
    assert lists(by_paper(ranking_of(*made), p, q)) == coupled(*made, p, q)


@given(scored(), RATIOS, RATIOS, RATIOS)
def test_every_set_has_its_own_ratio(made, fairness, general, privacy):
    ranking = ranking_of(*made)
    ratios = {"fairness": fairness, "general": general, "privacy": privacy}
    separate = {name: ranking.top(name, ratio) for name, ratio in ratios.items()}
    expected = separate["general"] | (separate["privacy"] - separate["fairness"])
    assert by_expression(ranking, parse("general | (privacy - fairness)"), ratios) == expected


def test_a_set_that_was_not_scored_is_unknown():
    ranking = ranking_of({"up": {"fairness": [1, 2]}}, {"up": (1, 2)})
    with pytest.raises(UnknownSet):
        by_expression(ranking, parse("fairness & safety"), {"fairness": 0.5, "safety": 0.5})


def test_a_ratio_beyond_the_ranking_is_refused():
    tops = {"fairness": TopWeights(np.array([1]), np.array([1.0], np.float32), np.zeros((1, 2), np.uint8))}
    with pytest.raises(RatioBeyondRanking):
        by_expression(Ranking({"up": RankedTensor((2, 2), "BF16", tops)}, 0.25), parse("fairness"), {"fairness": 0.5})


@given(scored(), RATIOS)
def test_the_published_rule_is_that_of_the_released_code(made, ratio):
    assert lists(by_published_code(ranking_of(*made), ratio, ratio)) == published(*made, ratio, ratio)


def test_the_published_rule_differs_from_the_paper_rule():
    # privacy's top set is {0, 1}, fairness' {1, 2}, general's {2, 3}.
    scores = {"up": {"privacy": [2, 1, 0, 0], "fairness": [0, 2, 1, 0], "general": [0, 0, 1, 2]}}
    ranking = ranking_of(scores, {"up": (2, 2)})
    assert lists(by_paper(ranking, 0.5, 0.5)) == {"up": [1]}
    assert lists(by_published_code(ranking, 0.5, 0.5)) == {"up": [0]}


@pytest.mark.parametrize(("shape", "count"), [((5, 6), 20), ((3, 30), 63)])
def test_the_published_rule_counts_columns_times_rows(shape, count):
    size = math.prod(shape)
    rising = list(range(1, size + 1))
    scores = {"up": {"privacy": rising, "fairness": rising, "general": rising[::-1]}}
    chosen = by_published_code(ranking_of(scores, {"up": shape}), 1 / size, 0.7)
    assert chosen.weights == count


@pytest.mark.parametrize(("shape", "count"), [((5, 6), 20), ((3, 30), 63)])
def test_the_published_rule_counts_general_weights_likewise(shape, count):
    size = math.prod(shape)
    rising = list(range(1, size + 1))
    scores = {"up": {"privacy": rising, "fairness": rising, "general": rising}}
    chosen = by_published_code(ranking_of(scores, {"up": shape}), 0.7, 1.0)
    assert chosen.weights == size - count


def blank(shapes):
    scores = {tensor: dict.fromkeys(SETS, [0] * math.prod(shape)) for tensor, shape in shapes.items()}
    return ranking_of(scores, shapes)


SHAPES = {"down": (3, 40), "up": (40, 3)}
COUNTS = st.dictionaries(st.sampled_from(sorted(SHAPES)), st.sets(st.integers(0, 119)))


@given(COUNTS, st.integers(0, 2**32))
def test_as_many_weights_are_drawn_per_matrix_as_were_selected(counts, seed):
    chosen = Selection({tensor: np.array(sorted(members), dtype=np.int64) for tensor, members in counts.items()})
    drawn = at_random(blank(SHAPES), chosen, seed)
    assert {tensor: len(indices) for tensor, indices in drawn} == {tensor: len(indices) for tensor, indices in chosen}


@given(COUNTS, st.integers(0, 2**32))
def test_drawn_weights_are_unique_and_within_their_matrix(counts, seed):
    chosen = Selection({tensor: np.array(sorted(members), dtype=np.int64) for tensor, members in counts.items()})
    for tensor, indices in at_random(blank(SHAPES), chosen, seed):
        assert sorted(set(indices.tolist())) == indices.tolist()
        assert 0 <= indices[0] <= indices[-1] < math.prod(SHAPES[tensor])


def test_a_whole_matrix_can_be_drawn():
    every = Selection({"up": np.arange(120)})
    assert at_random(blank(SHAPES), every, 0) == every


def test_the_same_seed_draws_the_same_weights():
    chosen = Selection({"down": np.arange(20), "up": np.arange(30)})
    assert at_random(blank(SHAPES), chosen, 7) == at_random(blank(SHAPES), chosen, 7)


def test_another_seed_draws_other_weights():
    chosen = Selection({"down": np.arange(20), "up": np.arange(30)})
    drawn = [lists(at_random(blank(SHAPES), chosen, seed)) for seed in range(10)]
    assert all(drawn.count(weights) == 1 for weights in drawn)


def test_matrices_are_drawn_independently():
    drawn = at_random(blank(SHAPES), Selection({"down": np.arange(20), "up": np.arange(20)}), 0)
    assert drawn.of("down").tolist() != drawn.of("up").tolist()


def first_useful_count(scores, shapes, p):
    """Of matrices of one shape: the smallest count at which the paper's rule selects something."""
    size = math.prod(shapes["up"])
    useful = (count for count in range(1, size) if coupled(scores, shapes, p, (count + 0.5) / size))
    return next(useful, None)


@given(scored(tensors=("up",)), RATIOS)
def test_the_smallest_useful_q_asks_for_the_first_useful_count(made, p):
    q, count = smallest_useful_q(ranking_of(*made), p), first_useful_count(*made, p)
    size = math.prod(made[1]["up"])
    assert (None if q is None else int(q * size)) == count


@given(scored(), RATIOS)
def test_at_the_smallest_useful_q_something_is_selected(made, p):
    ranking = ranking_of(*made)
    q = smallest_useful_q(ranking, p)
    assert q is None or by_paper(ranking, p, q).weights


@given(scored(), RATIOS)
def test_below_the_smallest_useful_q_nothing_is_selected(made, p):
    ranking = ranking_of(*made)
    q = smallest_useful_q(ranking, p)
    assert q is None or not by_paper(ranking, p, 0.98 * q).weights


@given(scored(), RATIOS)
def test_there_is_no_useful_q_only_where_everything_selects_nothing(made, p):
    ranking = ranking_of(*made)
    assert (smallest_useful_q(ranking, p) is None) == (by_paper(ranking, p, math.nextafter(1, 0)).weights == 0)


@st.composite
def counts_and_sizes(draw):
    size = draw(st.one_of(st.integers(1, 2_000), st.integers(1, 2**36), st.sampled_from([10**6, 4096 * 11008])))
    return draw(st.one_of(st.integers(1, min(size, 200)), st.integers(1, size))), size


@given(counts_and_sizes())
def test_the_ratio_for_a_count_selects_it(pair):
    count, size = pair
    assert int(ratio_for(count, size) * size) >= count


@given(counts_and_sizes())
def test_the_ratio_for_a_count_is_at_most_one_percent_above_it(pair):
    count, size = pair
    assert ratio_for(count, size) <= 1.01 * (count / size) * (1 + 1e-12)


@given(counts_and_sizes())
def test_the_ratio_for_a_count_has_three_digits(pair):
    ratio = ratio_for(*pair)
    assert float(f"{ratio:.2e}") == ratio


@given(counts_and_sizes())
def test_no_smaller_ratio_of_three_digits_selects_the_count(pair):
    count, size = pair
    digits, exponent = f"{ratio_for(count, size):.2e}".split("e")
    steps = int(digits.replace(".", ""))
    smaller = f"{steps - 1}e{int(exponent) - 2}" if steps > 100 else f"999e{int(exponent) - 3}"
    assert int(float(smaller) * size) < count
