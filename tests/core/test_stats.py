"""Intervals: against published values, exact coverage, and plain statements of the formulas."""

import json
import math
import statistics

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.stats import Estimate, Measurement, Z, mean_per_token, share


def test_the_quantile():
    assert statistics.NormalDist().inv_cdf(0.975) == pytest.approx(Z, abs=1e-12)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_examples_of_newcombe_1998(successes, n, low, high):
    estimate = share(successes, n)
    assert (estimate.value, estimate.n) == (successes / n, n)
    assert (estimate.low, estimate.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 300), st.data())
def test_the_ends_solve_wilsons_equation(n, data):
    successes = data.draw(st.integers(0, 2 * n)) / 2
    estimate = share(successes, n)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    for end in (estimate.low, estimate.high):
        assert (estimate.value - end) ** 2 == pytest.approx(Z**2 * end * (1 - end) / n, abs=1e-12)


@given(st.integers(1, 300), st.data())
def test_wilson_is_symmetric_in_success_and_failure(n, data):
    successes = data.draw(st.integers(0, n))
    one, other = share(successes, n), share(n - successes, n)
    assert (one.low, one.high) == (pytest.approx(1 - other.high), pytest.approx(1 - other.low))


def test_wilson_covers_the_truth_nearly_as_often_as_it_says():
    n, truths = 64, [number / 100 for number in range(5, 96)]
    held = []
    for truth in truths:
        chances = [math.comb(n, k) * truth**k * (1 - truth) ** (n - k) for k in range(n + 1)]
        held.append(sum(chance for k, chance in enumerate(chances) if share(k, n).low <= truth <= share(k, n).high))
    assert statistics.fmean(held) == pytest.approx(0.95, abs=0.01)
    assert min(held) > 0.9


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 3), (4, 3), (math.nan, 3)])
def test_what_is_no_share_is_refused(successes, n):
    with pytest.raises(ValueError, match="no share"):
        share(successes, n)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=40), st.integers(1, 9))
def test_with_equal_counts_it_is_the_interval_of_a_mean(means, count):
    estimate = mean_per_token([mean * count for mean in means], [count] * len(means))
    half = Z * statistics.stdev(means) / math.sqrt(len(means))
    assert estimate.value == pytest.approx(statistics.fmean(means), abs=1e-9)
    assert estimate.low == pytest.approx(statistics.fmean(means) - half, abs=1e-6)
    assert estimate.high == pytest.approx(statistics.fmean(means) + half, abs=1e-6)
    assert estimate.n == len(means)


def test_tokens_weigh_alike_and_examples_are_the_units():
    estimate = mean_per_token([2.0, 12.0], [1, 3])
    assert (estimate.value, estimate.n) == (3.5, 2)
    half = Z * math.sqrt(2 / 1 * ((2 - 3.5 * 1) ** 2 + (12 - 3.5 * 3) ** 2)) / 4
    assert (estimate.low, estimate.high) == (pytest.approx(3.5 - half), pytest.approx(3.5 + half))


def test_the_interval_narrows_with_examples_and_not_with_tokens():
    few = mean_per_token([1.0, 3.0], [1, 1])
    assert mean_per_token([100.0, 300.0], [100, 100]) == few
    many = mean_per_token([1.0, 3.0] * 50, [1] * 100)
    assert many.high - many.low < (few.high - few.low) / 7


def test_one_example_has_a_value_and_no_interval():
    assert mean_per_token([3.0], [2]) == Estimate(1.5, None, None, 1)


@pytest.mark.parametrize(("totals", "counts"), [([], []), ([1.0, 0.0], [1, 0]), ([1.0], [1, 2])])
def test_what_is_no_mean_is_refused(totals, counts):
    with pytest.raises(ValueError):
        mean_per_token(totals, counts)


def test_estimates_and_metrics_survive_json():
    values = {"base": Estimate(0.1 + 0.2, 0.25, 1 / 3, 7), "edited": Estimate(1.0, None, None, 1)}
    metric = Measurement("preference", "Preferred", "fairness", "share of pairs", "higher", values)
    assert msgspec.json.decode(json.dumps(metric.to_json()), type=Measurement) == metric
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"value": 1.0}, Estimate)
