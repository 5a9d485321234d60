"""The estimate of the time left, on simulated clocks."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.cli.time_left import TimeLeft

STEPS = 500


def run(seconds, asked=(1.0,)):
    """Yields the share done, the estimate and the truth, after every step or at some parts of the next one.

    Args:
        seconds: what each of some equal steps takes.
        asked: the parts of the next step after which the estimate is asked for; 1 is just before its end.
    """
    left, now, end = TimeLeft(len(seconds)), 0.0, sum(seconds)
    for done, (took, coming) in enumerate(itertools.pairwise(seconds), 1):
        now += took
        left.add(now, 1)
        for part in (0.0, *(part * 0.999 for part in asked)):
            at = now + part * coming
            yield done / len(seconds), left.at(at), end - at


def worst(seconds, first=0.1, last=0.98):
    """The largest factor between estimate and truth for some span of the work."""
    shares = [entry for entry in run(seconds) if first <= entry[0] <= last]
    assert all(estimate for _, estimate, _ in shares)
    return max(max(estimate / truth, truth / estimate) for _, estimate, truth in shares)


def changing(*parts):
    """The seconds of steps whose pace changes: pairs of a share of the work and the seconds of a step."""
    return [pace for share, pace in parts for _ in range(round(share * STEPS))]


def test_a_constant_speed_is_extrapolated():
    assert worst([0.7] * STEPS, last=1.0) < 1.01


@pytest.mark.parametrize("change", [1.4, 1 / 1.4])
@pytest.mark.parametrize("at", [0.1, 0.2, 0.5, 0.8])
def test_a_change_of_speed_by_1_4_keeps_the_estimate_within_1_5(at, change):
    assert worst(changing((at, 1.0), (1 - at, change))) < 1.45


@given(st.lists(st.floats(1.0, 1.4), min_size=1, max_size=12), st.integers(1, 40))
def test_speeds_that_differ_by_at_most_1_4_keep_it_within_1_5_in_any_order(paces, times):
    each = max(1, 200 // (len(paces) * times))
    assert worst([pace for pace in paces * times for _ in range(each)]) < 1.5


@pytest.mark.parametrize("change", [3.0, 1 / 3])
def test_after_a_change_of_speed_by_3_it_is_within_1_5_again_a_tenth_of_the_work_later(change):
    seconds = changing((0.5, 1.0), (0.5, change))
    assert worst(seconds, first=0.6) < 1.5
    # Before the change nothing shows it, and just before it the estimate is wrong by all of it.
    assert worst(seconds, last=0.5) == pytest.approx(3, rel=0.02)


def test_a_slow_first_step_is_soon_forgotten():
    assert worst([30.0] + [1.0] * (STEPS - 1), first=0.15) < 1.5


def test_a_pause_after_every_layer_does_not_make_it_swing():
    layer = [1.0] * 9 + [6.0]
    ends = [(share, truth, estimate) for share, estimate, truth in run(layer * 30) if 0.15 <= share <= 0.9]
    assert all(truth - 60 < estimate < truth + 60 for _, truth, estimate in ends)
    assert worst(layer * 30, last=0.9) < 1.5


def test_long_steps_count_down_while_they_last():
    entries = [entry for entry in run([60.0] * 10, asked=(0.25, 0.5, 0.75, 1.0)) if entry[0] < 1]
    assert all(estimate == pytest.approx(truth, abs=0.1) for _, estimate, truth in entries)


def test_a_step_that_does_not_end_counts_down_no_further_but_up():
    left = TimeLeft(10)
    for number in range(1, 5):
        left.add(number * 10.0, 1)
    assert left.at(40) == pytest.approx(60)
    assert left.at(50) == pytest.approx(50)
    later = [left.at(50 + seconds) for seconds in range(0, 200, 20)]
    assert later == sorted(later)
    assert later[-1] > 100


def test_nothing_is_said_before_there_is_something_to_say():
    left = TimeLeft(1000)
    assert left.at(100) is None
    left.add(2.0, 19)
    assert left.at(60) is None
    left.add(61.0, 1)
    assert left.at(61) == pytest.approx(61 / 0.02 * 0.98)
    soon = TimeLeft(1000)
    soon.add(0.5, 20)
    soon.add(1.0, 20)
    assert soon.at(2.9) is None
    assert soon.at(3.0) is not None


@pytest.mark.parametrize("amounts", [[100], [50, 50], [60, 60], [0, 100]])
def test_nothing_is_said_of_work_that_is_done(amounts):
    left = TimeLeft(100)
    for number, amount in enumerate(amounts):
        left.add(10.0 * number + 10, amount)
    assert left.share == 1
    assert left.at(50) is None


def test_the_last_step_overdue_has_no_estimate():
    left = TimeLeft(2)
    left.add(10.0, 1)
    assert left.at(19) == pytest.approx(1)
    assert left.at(25) is None


def test_a_clock_that_goes_back_counts_as_one_that_stands_still():
    left = TimeLeft(10)
    left.add(10.0, 2)
    left.add(5.0, 2)
    assert 0 < left.at(0) == left.at(10) <= 15


@given(st.lists(st.tuples(st.floats(0, 1e5), st.integers(0, 50)), max_size=60), st.floats(0, 1e6))
def test_any_history_has_a_finite_estimate_or_none(history, now):
    left, passed = TimeLeft(1000), 0.0
    for seconds, amount in history:
        passed += seconds
        left.add(passed, amount)
        for at in (passed, passed + now):
            estimate = left.at(at)
            assert estimate is None or 0 < estimate < 1e9
    assert 0 <= left.share <= 1


def test_many_advances_are_not_all_remembered():
    left = TimeLeft(100_000)
    for number in range(1, 50_001):
        left.add(number * 1e-2, 1)
    assert len(left._marks) < 250
    assert left.at(500.0) == pytest.approx(500, rel=0.01)
