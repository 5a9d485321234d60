"""Preference: the share of pairs, ties and all."""

import pytest

from spin_hub.evaluation.interval import share
from spin_hub.evaluation.preference import preference


def test_it_is_the_share_of_pairs_whose_aware_answer_is_likelier():
    assert preference([-1.0, -2.0, -0.5], [-1.5, -1.0, -4.0]) == share(2, 3)


def test_ties_count_half():
    assert preference([-1.0, -2.0], [-1.0, -3.0]) == share(1.5, 2)
    assert preference([-1.0] * 8, [-1.0] * 8).value == 0.5


def test_swapping_the_answers_swaps_the_share():
    aware, unaware = [-1.0, -2.0, -3.0, -4.0], [-1.1, -1.9, -3.0, -4.2]
    assert preference(aware, unaware).value == pytest.approx(1 - preference(unaware, aware).value)


@pytest.mark.parametrize(("aware", "unaware"), [([], []), ([-1.0], []), ([-1.0], [-1.0, -2.0])])
def test_what_is_no_set_of_pairs_is_refused(aware, unaware):
    with pytest.raises(ValueError):
        preference(aware, unaware)
