"""The front of cost and gain, its knee, and the best within limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.stats import Estimate
from spin_hub.metrics.reading import Trial
from spin_hub.recipe import Limits
from spin_hub.search.choose import best, front, knee, point_of, within

POINTS = st.lists(st.tuples(st.integers(0, 20), st.integers(-5, 15)), max_size=12)


def beaten(points, place):
    """The definition: another point gains as much for less, or more for no more."""
    cost, gain = points[place]
    return any((c <= cost and g > gain) or (c < cost and g >= gain) for c, g in points)


@given(POINTS)
def test_the_front_is_what_nothing_beats(points):
    found = front(points)
    best_ones = {point for place, point in enumerate(points) if not beaten(points, place)}
    assert {points[place] for place in found} == best_ones
    assert len({points[place] for place in found}) == len(found)
    costs = [points[place][0] for place in found]
    assert costs == sorted(costs)


@given(POINTS.filter(bool))
def test_the_knee_lies_on_the_front_and_nowhere_below_its_chord(points):
    place, places = knee(points), front(points)
    assert place in places
    (low, least), (high, most) = points[places[0]], points[places[-1]]
    if high > low:
        chord = least + (points[place][0] - low) * (most - least) / (high - low)
        assert points[place][1] >= chord - 1e-9


def test_the_knee_is_where_more_cost_stops_paying():
    assert knee([(0.0, 0.0), (1.0, 9.0), (10.0, 10.0)]) == 1
    assert knee([]) is None
    assert knee([(1.0, 1.0)]) == 0


@given(POINTS, st.data())
def test_the_best_is_the_allowed_one_that_gains_most(points, data):
    allowed = data.draw(st.lists(st.booleans(), min_size=len(points), max_size=len(points)))
    place = best(points, allowed)
    may = [point for point, fits in zip(points, allowed, strict=True) if fits]
    gains = [gain for _, gain in may if gain > 0]
    if place is None:
        assert not gains
    else:
        assert allowed[place]
        assert points[place][1] == max(gains)
        assert points[place][0] == min(cost for cost, gain in may if gain == max(gains))


def trial(kl, perplexity, *margins):
    value = None if kl is None else Estimate(kl, None, None, 1)
    return Trial(value, Estimate(perplexity, None, None, 1), {"fairness": margins[:2], "privacy": margins[2:]})


def test_a_trial_gains_over_another_pair_by_pair():
    base, edited = trial(None, 10.0, 0.0, 1.0, 2.0), trial(0.02, 10.4, 0.5, 1.5, 2.5)
    assert edited.gain(base).value == pytest.approx(0.5)
    assert edited.gain(base).low == pytest.approx(0.5)
    assert base.gain(edited).value == pytest.approx(-0.5)
    assert point_of(edited, base) == (0.02, pytest.approx(0.5))
    assert edited.preference("fairness").value == 1.0


@pytest.mark.parametrize(
    ("kl", "perplexity", "allowed"),
    [(0.05, 10.5, True), (0.051, 10.0, False), (0.0, 10.51, False), (None, 9.0, True)],
)
def test_limits_hold_for_both_costs(kl, perplexity, allowed):
    assert within(trial(kl, perplexity, 0.0), trial(None, 10.0, 0.0), Limits()) is allowed
