import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.ranking import RankedTensor, Ranking, TopWeights, count_of, kept_count_of, published_count_of
from spin_hub.core.selection import Selection
from spin_hub.errors import RatioBeyondRanking

RATIOS = st.floats(0, 1, exclude_min=True, exclude_max=True) | st.integers(1, 99).map(lambda percent: percent / 100)
SHAPES = st.tuples(st.integers(1, 5_000), st.integers(1, 5_000)) | st.tuples(st.integers(1, 40), st.integers(1, 40))
NAMES = ("a", "b")


def top_of(importance, original, count):
    order = np.lexsort((np.arange(importance.size), -importance))[:count]
    return TopWeights(order.astype(np.int64), importance[order], original[order])


@st.composite
def rankings(draw):
    """A ranking with its importances and its checkpoint's bytes, which tests look things up in."""
    keep, importances, originals, tensors = draw(st.floats(0.2, 0.99)), {}, {}, {}
    generator = np.random.default_rng(draw(st.integers(0, 1_000)))
    for tensor in ("down", "up"):
        shape = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
        size = math.prod(shape)
        originals[tensor] = generator.integers(0, 256, (size, 2), dtype=np.uint8)
        importances[tensor] = {name: generator.integers(0, 4, size).astype(np.float32) for name in NAMES}
        kept = kept_count_of(keep, shape)
        tops = {name: top_of(importances[tensor][name], originals[tensor], kept) for name in NAMES}
        tensors[tensor] = RankedTensor(shape, "BF16", tops)
    return Ranking(tensors, keep), importances, originals


@given(RATIOS, SHAPES)
def test_a_ratio_counts_the_whole_matrix(ratio, shape):
    assert count_of(ratio, shape) == int(ratio * (shape[0] * shape[1]))


@given(RATIOS, SHAPES)
def test_the_published_count_takes_columns_then_rows(ratio, shape):
    rows, columns = shape
    per_row = ratio * columns
    assert published_count_of(ratio, shape) == int(per_row * rows)


@pytest.mark.parametrize(("shape", "by_paper", "by_code"), [((5, 6), 21, 20), ((3, 30), 62, 63)])
def test_the_two_counts_may_differ(shape, by_paper, by_code):
    assert (count_of(0.7, shape), published_count_of(0.7, shape)) == (by_paper, by_code)


@pytest.mark.parametrize(("shape", "kept"), [((5, 6), 21), ((3, 30), 63)])
def test_a_ranking_keeps_the_larger_of_the_two_counts(shape, kept):
    assert kept_count_of(0.7, shape) == kept


@given(RATIOS, SHAPES)
def test_a_ranking_keeps_enough_for_both_counts_and_no_more(ratio, shape):
    assert kept_count_of(ratio, shape) == max(count_of(ratio, shape), published_count_of(ratio, shape))


@given(RATIOS, RATIOS, SHAPES)
def test_what_is_kept_at_a_ratio_suffices_for_every_smaller_one(one, other, shape):
    smaller, larger = sorted((one, other))
    kept = kept_count_of(larger, shape)
    assert count_of(smaller, shape) <= kept
    assert published_count_of(smaller, shape) <= kept


@given(rankings(), RATIOS, st.sampled_from(NAMES))
def test_the_top_set_holds_the_best_weights(made, ratio, name):
    ranking, importances, _ = made
    chosen = ranking.top(name, min(ratio, ranking.keep))
    for tensor, ranked in ranking.tensors.items():
        scores = importances[tensor][name].tolist()
        order = sorted(range(len(scores)), key=lambda place, scores=scores: (-scores[place], place))
        best = order[: count_of(min(ratio, ranking.keep), ranked.shape)]
        assert chosen.of(tensor).tolist() == sorted(place for place in best if scores[place] > 0)


@given(rankings(), RATIOS, st.sampled_from(NAMES))
def test_the_top_set_is_a_sorted_prefix_of_the_ranking(made, ratio, name):
    ranking = made[0]
    for tensor, indices in ranking.top(name, min(ratio, ranking.keep)):
        assert indices.tolist() == sorted(ranking.tensors[tensor].tops[name].indices[: len(indices)].tolist())


@given(rankings(), RATIOS, RATIOS, st.sampled_from(NAMES))
def test_a_smaller_ratio_gives_a_subset(made, one, other, name):
    ranking = made[0]
    smaller, larger = (ranking.top(name, min(ratio, ranking.keep)) for ratio in sorted((one, other)))
    assert (smaller - larger).weights == 0


@given(rankings(), RATIOS)
def test_the_count_can_be_that_of_the_published_code(made, ratio):
    ranking = made[0]
    ratio = min(ratio, ranking.keep)
    chosen = ranking.top("a", ratio, published_count_of, zeros=True)
    for tensor, ranked in ranking.tensors.items():
        assert len(chosen.of(tensor)) == published_count_of(ratio, ranked.shape)


@pytest.mark.parametrize("positions", [np.int32, np.int64])
def test_positions_of_either_width_give_the_same_top_set(positions):
    original = np.zeros((4, 2), np.uint8)
    top = top_of(np.array([1, 3, 2, 0], np.float32), original, 3)
    tops = {"a": TopWeights(top.indices.astype(positions), top.importance, top.original)}
    assert Ranking({"up": RankedTensor((2, 2), "BF16", tops)}, 0.75).top("a", 0.5) == Selection({"up": [1, 2]})


def test_more_than_was_kept_is_refused_with_the_facts():
    tops = {"a": top_of(np.arange(100, dtype=np.float32), np.zeros((100, 2), np.uint8), 10)}
    ranking = Ranking({"up": RankedTensor((10, 10), "BF16", tops)}, 0.1)
    assert ranking.top("a", 0.1).weights == 10
    with pytest.raises(RatioBeyondRanking) as caught:
        ranking.top("a", 0.11)
    assert caught.value.facts == {"name": "a", "value": 0.11, "kept": 0.1}


@given(rankings(), st.data())
def test_every_selected_weight_gets_its_own_bytes(made, data):
    ranking, _, originals = made
    picked = {}
    for tensor, ranked in ranking.tensors.items():
        kept = sorted({int(index) for top in ranked.tops.values() for index in top.indices})
        picked[tensor] = sorted(data.draw(st.sets(st.sampled_from(kept)))) if kept else []
    chosen = Selection({tensor: np.array(indices, dtype=np.int64) for tensor, indices in picked.items()})
    found = {tensor: values.tolist() for tensor, _, values in ranking.originals(chosen)}
    assert found == {tensor: originals[tensor][indices].tolist() for tensor, indices in picked.items() if indices}


def test_a_weight_in_several_sets_gets_its_bytes_once():
    original = np.array([[1, 2], [3, 4], [5, 6]], np.uint8)
    tops = {
        "a": top_of(np.array([3, 2, 1], np.float32), original, 2),
        "b": top_of(np.array([1, 2, 3], np.float32), original, 2),
    }
    ranking = Ranking({"up": RankedTensor((1, 3), "BF16", tops)}, 0.7)
    ((tensor, ranked, values),) = ranking.originals(ranking.top("a", 0.7) & ranking.top("b", 0.7))
    assert (tensor, ranked, values.tolist()) == ("up", ranking.tensors["up"], [[3, 4]])


@pytest.mark.parametrize("selection", [{"up": [3]}, {"up": [0, 1]}, {"other": [0]}], ids=["last", "first", "tensor"])
def test_a_weight_that_was_not_kept_has_no_bytes(selection):
    tops = {"a": TopWeights(np.array([2, 1]), np.array([2, 1], np.float32), np.zeros((2, 2), np.uint8))}
    ranking = Ranking({"up": RankedTensor((2, 2), "BF16", tops)}, 0.5)
    with pytest.raises(KeyError):
        list(ranking.originals(Selection(selection)))


@given(rankings())
def test_the_sets_are_sorted_and_the_largest_matrix_is_known(made):
    ranking = made[0]
    assert ranking.sets == NAMES
    assert ranking.largest == max(rows * columns for rows, columns in (t.shape for t in ranking.tensors.values()))


def test_a_ranking_of_nothing_has_no_largest_matrix():
    assert Ranking({}, 0.1).largest == 0
