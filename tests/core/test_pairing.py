"""The paired test against an enumeration of every way in which the changed answers could have changed."""

import json
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.stats import Paired, paired

OUTCOMES = st.lists(st.tuples(st.sampled_from([True, False, None]), st.sampled_from([True, False, None])), max_size=60)


def changed(gained: int, lost: int) -> Paired:
    return paired([False] * gained + [True] * lost, [True] * gained + [False] * lost)


@pytest.mark.parametrize("changes", range(13))
def test_the_p_value_counts_all_tosses_at_least_as_one_sided(changes):
    tosses = [abs(2 * sum(toss) - changes) for toss in product((0, 1), repeat=changes)]
    for gained in range(changes + 1):
        extreme = sum(toss >= abs(2 * gained - changes) for toss in tosses)
        assert changed(gained, changes - gained).p_value == float(Fraction(extreme, len(tosses)))


def test_known_values():
    assert changed(0, 0).p_value == 1
    assert changed(5, 0).p_value == changed(0, 5).p_value == 2 / 32
    assert changed(14, 5).p_value == pytest.approx(0.0635681, abs=1e-7)


def test_many_questions_are_no_trouble():
    assert changed(3000, 3000).p_value == 1
    assert changed(4000, 0).p_value == 0
    assert 0 < changed(1500, 1300).p_value < 1e-3


@given(st.integers(0, 200), st.integers(0, 200))
def test_gaining_and_losing_are_alike_and_a_wider_gap_is_rarer(one, other):
    found = changed(one, other)
    assert 0 < found.p_value <= 1
    assert changed(other, one).p_value == found.p_value
    if one > other > 0:
        assert changed(one + 1, other - 1).p_value < found.p_value or found.p_value == 1


@given(OUTCOMES)
def test_every_known_question_counts_once(pairs):
    before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = paired(before, after)
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    assert found.n == len(known)
    assert found.gained + found.both == sum(other for _, other in known)
    assert found.lost + found.both == sum(one for one, _ in known)
    assert found.gained == sum(other and not one for one, other in known)
    back = paired(after, before)
    assert (back.gained, back.lost, back.both, back.neither) == (found.lost, found.gained, found.both, found.neither)
    assert back.p_value == found.p_value


@given(st.lists(st.booleans(), min_size=1))
def test_a_state_against_itself_changes_nothing(outcomes):
    found = paired(outcomes, outcomes)
    assert (found.gained, found.lost, found.p_value) == (0, 0, 1)


def test_other_numbers_of_questions_are_refused():
    with pytest.raises(ValueError):
        paired([True], [True, False])


def test_it_survives_json():
    found = changed(7, 2)
    assert Paired(**json.loads(json.dumps(found.to_json()))) == found
