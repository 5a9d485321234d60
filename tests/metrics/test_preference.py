"""Preference: the share of pairs, ties and all."""

import pytest

from spin_hub.core.stats import share
from spin_hub.metrics.preference import preference


def test_it_is_the_share_of_pairs_whose_aware_answer_is_likelier():
    assert preference([0.5, -1.0, 3.5]) == share(2, 3)


def test_ties_count_half():
    assert preference([0.0, 1.0]) == share(1.5, 2)
    assert preference([0.0] * 8).value == 0.5


def test_swapping_the_answers_swaps_the_share():
    margins = [0.1, -0.1, 0.0, 0.2]
    assert preference(margins).value == pytest.approx(1 - preference([-margin for margin in margins]).value)


def test_no_pairs_are_refused():
    with pytest.raises(ValueError):
        preference([])
