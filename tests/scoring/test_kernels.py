import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.scoring import products as kernels
from spin_hub.scoring.products import add_absolute_products


def by_definition(left, right, segments):
    return sum((left[start:stop].T @ right[start:stop]).abs() for start, stop in segments)


@pytest.fixture(params=[(1, 1), (10, 1), (1, 3), (1 << 20, 384)])
def block(request, monkeypatch):
    monkeypatch.setattr(kernels, "_BLOCK", request.param[0])
    monkeypatch.setattr(kernels, "_ROWS", request.param[1])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.integers(1, 9), st.integers(1, 9))
def test_products_of_segments_are_added_as_absolute_values(lengths, rows, columns):
    total = sum(lengths)
    left, right = torch.randn(total, rows, dtype=torch.float64), torch.randn(total, columns, dtype=torch.float64)
    ends = [sum(lengths[: number + 1]) for number in range(len(lengths))]
    segments = [(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    sums = torch.ones(rows, columns, dtype=torch.float64)
    add_absolute_products(sums, left, right, segments)
    torch.testing.assert_close(sums, 1 + by_definition(left, right, segments))


def test_blocks_of_rows_change_nothing(block):
    left, right = torch.randn(12, 7), torch.randn(12, 4)
    segments = [(0, 5), (7, 12)]
    sums = torch.zeros(7, 4)
    add_absolute_products(sums, left, right, segments)
    torch.testing.assert_close(sums, by_definition(left, right, segments))


def test_tokens_outside_all_segments_do_not_count():
    left, right = torch.ones(4, 1), torch.ones(4, 1)
    left[2] = torch.nan
    sums = torch.zeros(1, 1)
    add_absolute_products(sums, left, right, [(0, 2), (3, 4)])
    assert sums.item() == 3.0


def test_products_in_half_precision_are_summed_in_float32():
    sums, one = torch.full((1, 1), 256.0), torch.ones(2, 1, dtype=torch.bfloat16)
    add_absolute_products(sums, one, one, [(0, 1), (1, 2)])
    assert sums.item() == 258.0  # bfloat16 would have stayed at 256


def test_sums_in_the_dtype_of_the_model_stay_in_it():
    sums, one = torch.full((1, 1), 256.0, dtype=torch.bfloat16), torch.ones(2, 1, dtype=torch.bfloat16)
    add_absolute_products(sums, one, one, [(0, 1), (1, 2)])
    assert (sums.item(), sums.dtype) == (256.0, torch.bfloat16)
