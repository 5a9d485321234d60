"""The grid of ratios that a search tries."""

from hypothesis import given
from hypothesis import strategies as st

from spin_hub.search.search import FACTORS, QS, default_grid, product_grid


@given(st.floats(1e-7, 0.99))
def test_the_default_grid_stays_within_the_ranking_and_has_p_from_1_to_100_times_q(keep):
    grid = default_grid(keep)
    assert len(set(grid)) == len(grid)
    assert {q for _, q in grid} == {q for q in QS if q <= keep}
    for p, q in grid:
        assert p <= keep * (1 + 1e-5)
        assert 1 - 1e-5 <= p / q <= 100.001
    if keep >= QS[-1] * FACTORS[-1] * 0.98:
        assert len(grid) == len(QS) * len(FACTORS)


def test_the_default_grid_is_small_and_plain():
    grid = default_grid(5e-2)
    assert len(grid) == 23
    assert (3e-6, 1e-6) in grid
    assert (5e-2, 1e-2) in grid
    assert default_grid(1e-7) == ()


def test_a_grid_of_ones_own_has_every_pair_once():
    assert product_grid([1e-2, 1e-3, 1e-2], [1e-4]) == ((1e-2, 1e-4), (1e-3, 1e-4))
