"""Values and drifts against torch, which reads every type by itself."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.checkpoint.compat import Fit, Layout, matrix_fit
from spin_hub.core.delta import TensorEdit
from spin_hub.core.dtypes import BITS, EDITABLE, NAMES, itemsize, values_of

TORCH = {code: getattr(torch, NAMES[code]) for code in sorted(EDITABLE)}
HALF = st.sampled_from(["F16", "BF16", "F8_E4M3", "F8_E5M2"])
CODES = st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1)), min_size=1, max_size=20)


def raw_of(tensor: torch.Tensor) -> np.ndarray:
    """The bytes of a vector's elements, uint8, shape (n, itemsize)."""
    return tensor.view(torch.uint8).numpy().reshape(len(tensor), tensor.element_size())


def torch_values(raw: np.ndarray, dtype: str) -> torch.Tensor:
    return torch.from_numpy(np.array(raw)).reshape(-1).view(TORCH[dtype]).to(torch.float64)


def every_code(dtype: str) -> np.ndarray:
    return np.arange(1 << BITS[dtype]).astype(f"<u{itemsize(dtype)}").view(np.uint8).reshape(-1, itemsize(dtype))


def fit(base: np.ndarray, here: np.ndarray, dtype="F32", stored=None):
    """The fit of all elements of a vector."""
    edit = TensorEdit((len(base),), dtype, np.arange(len(base)), base)
    return matrix_fit("w", edit, Layout((len(base),), stored or dtype), here)


def floats(*values: float, dtype="F32") -> np.ndarray:
    return raw_of(torch.tensor(values, dtype=torch.float64).to(TORCH[dtype]))


def same(ours: np.ndarray, theirs: torch.Tensor) -> bool:
    """The same values, signs of zeros included; any NaN is like any other."""
    expected = theirs.numpy()
    kinds = np.array_equal(np.isnan(ours), np.isnan(expected))
    finite = ~np.isnan(ours)
    return kinds and np.array_equal(ours[finite].view(np.int64), expected[finite].view(np.int64))


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F8_E4M3", "F8_E5M2"])
def test_every_code_of_the_small_types_is_decoded_as_by_torch(dtype):
    codes = every_code(dtype)
    values = values_of(codes, dtype)
    assert values.dtype == np.float64
    assert values.shape == (1 << BITS[dtype],)
    assert same(values, torch_values(codes, dtype))


@pytest.mark.parametrize("dtype", ["F32", "F64"])
@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_the_large_types_are_decoded_as_by_torch(dtype, codes):
    raw = np.array(codes, np.uint64).view(np.uint8).reshape(-1, itemsize(dtype))
    assert same(values_of(raw, dtype), torch_values(raw, dtype))


@pytest.mark.parametrize("dtype", sorted(EDITABLE))
def test_what_is_decoded_is_what_was_written(dtype):
    numbers = torch.randn(500, generator=torch.Generator().manual_seed(0)).to(TORCH[dtype])
    assert same(values_of(raw_of(numbers)[::3], dtype), numbers[::3].to(torch.float64))


@pytest.mark.parametrize("dtype", sorted(EDITABLE))
def test_nothing_is_decoded_as_nothing(dtype):
    assert values_of(np.empty((0, itemsize(dtype)), np.uint8), dtype).shape == (0,)


@pytest.mark.parametrize("dtype", [*sorted(set(BITS) - EDITABLE), "bfloat16"])
def test_types_that_cannot_be_edited_are_not_decoded(dtype):
    with pytest.raises(ValueError, match="cannot be edited"):
        values_of(np.zeros((1, 2), np.uint8), dtype)


@given(HALF, CODES)
def test_a_matrix_fits_itself_whatever_its_bits(dtype, codes):
    raw = every_code(dtype)[np.array(codes)[:, 0] % (1 << BITS[dtype])]
    found = fit(raw, raw, dtype)
    assert (found.equal, found.changed, found.drift, found.largest) == (len(raw), 0, 0, 0)
    assert found.changed_drift is None
    assert found.zero == sum(not element.any() for element in raw)


@given(HALF, HALF, CODES)
def test_drifts_counts_and_medians_are_those_of_torch(dtype, stored, codes):
    base = every_code(dtype)[np.array(codes)[:, 0] % (1 << BITS[dtype])]
    here = every_code(stored)[np.array(codes)[:, 1] % (1 << BITS[stored])]
    found = fit(base, here, dtype, stored)
    w, v = torch_values(base, dtype), torch_values(here, stored)
    equal = torch.from_numpy((base == here).all(1)) if dtype == stored else (
        ((w == v) & (w.signbit() == v.signbit())) | (w.isnan() & v.isnan())
    )  # fmt: skip
    drift = ((v - w).abs() / w.abs()).nan_to_num(nan=math.inf, posinf=math.inf)
    drift = torch.where(equal | (v == w), 0.0, drift)
    zero = torch.from_numpy(~here.any(1))
    changed = ~equal & ~zero
    assert (found.equal, found.zero, found.changed) == (int(equal.sum()), int(zero.sum()), int(changed.sum()))
    assert np.array_equal(found.drifts, drift.numpy())
    assert found.largest == drift.max()
    ordered = drift.sort().values
    assert found.drift == (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    assert (found.changed_drift is None) == (not changed.any())


def test_drifts_are_relative_to_the_base():
    found = fit(floats(1, -2, 4, 8, 16), floats(1, -3, 0, 6, -16))
    assert found.drifts.tolist() == [0, 0.5, 1, 0.25, 2]
    assert (found.weights, found.equal, found.zero, found.changed) == (5, 1, 1, 3)
    assert (found.drift, found.changed_drift, found.largest) == (0.5, 0.5, 2)


@pytest.mark.parametrize(
    ("base", "here", "drift"),
    [
        (0.0, 0.0, 0), (0.0, -0.0, 0), (0.0, 1.0, math.inf), (math.nan, 1.0, math.inf), (1.0, math.nan, math.inf),
        (math.nan, math.nan, 0), (math.inf, math.inf, 0), (math.inf, -math.inf, math.inf), (1.0, math.inf, math.inf),
        (math.inf, 1.0, math.inf), (5e-324, 1e300, math.inf),
    ],
)  # fmt: skip
def test_drifts_of_zeros_infinities_and_no_numbers(base, here, drift):
    found = fit(floats(base, dtype="F64"), floats(here, dtype="F64"), "F64")
    assert (found.drifts.tolist(), found.drift) == ([drift], drift)


def test_a_median_beyond_the_largest_float_is_infinite():
    assert fit(floats(1, 1, dtype="F64"), floats(1.7e308, 1.7e308, dtype="F64"), "F64").drift == math.inf


def test_only_all_bits_zero_is_zero_already():
    found = fit(floats(1, 1, 0), floats(0.0, -0.0, 0.0))
    assert (found.zero, found.equal, found.changed) == (2, 1, 1)
    assert found.drifts.tolist() == [1, 1, 0]


@pytest.mark.parametrize("stored", ["F32", "F64"])
def test_the_sign_of_a_zero_counts_in_every_type(stored):
    found = fit(floats(0.0, -0.0), floats(-0.0, -0.0, dtype=stored), "F32", stored)
    assert (found.equal, found.changed) == (1, 1)
    assert found.drift == 0


@pytest.mark.parametrize("stored", ["F32", "F64"])
def test_a_wider_copy_holds_the_base_itself(stored):
    numbers = torch.randn(50, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    found = fit(raw_of(numbers), raw_of(numbers.to(TORCH[stored])), "BF16", stored)
    assert (found.equal, found.drift, found.dtype_equal, found.comparable) == (50, 0, False, True)


@pytest.mark.parametrize(("stored", "precision"), [("F16", 2**-11), ("BF16", 2**-8), ("F8_E5M2", 2**-3)])
def test_a_truncated_copy_has_drifted_by_its_precision(stored, precision):
    numbers = 1 + torch.rand(500, generator=torch.Generator().manual_seed(1))
    found = fit(raw_of(numbers), raw_of(numbers.to(TORCH[stored])), "F32", stored)
    assert 0 < found.drift < found.largest <= precision


def test_a_matrix_that_cannot_be_compared_has_only_its_facts():
    edit = TensorEdit((2, 3), "F32", np.array([1]), floats(1))
    missing = matrix_fit("w", edit, None, None)
    turned = matrix_fit("w", edit, Layout((3, 2), "F32"), None)
    packed = matrix_fit("w", edit, Layout((2, 3), "I8"), None)
    assert [one.found for one in (missing, turned, packed)] == [False, True, True]
    assert [one.shape_equal for one in (missing, turned, packed)] == [False, False, True]
    assert [one.dtype_equal for one in (missing, turned, packed)] == [False, True, False]
    for one in (missing, turned, packed):
        assert not one.comparable
        assert (one.weights, one.equal, one.zero, one.changed, one.drift, one.largest) == (1, 0, 0, 0, None, None)
        assert not (Fit.of([one]).all_equal or Fit.of([one]).all_zero)


@pytest.mark.parametrize("stored", [None, Layout((2, 3), "F32"), Layout((0, 3), "I8")])
def test_an_edit_of_nothing_must_fit_all_the_same(stored):
    edit = TensorEdit((0, 3), "F32", np.empty(0, np.int64), np.empty((0, 4), np.uint8))
    total = Fit.of([matrix_fit("w", edit, stored, None)])
    assert not (total.all_equal or total.all_zero)
    assert Fit.of([matrix_fit("w", edit, Layout((0, 3), "BF16"), None)]).all_equal


def test_the_total_is_of_all_weights_and_no_mean_of_matrices():
    many, few = fit(floats(1, 1, 1, 1), floats(1, 1, 1, 1)), fit(floats(2, 2), floats(4, 0))
    total = Fit.of([many, few])
    assert (total.weights, total.equal, total.zero, total.changed) == (6, 4, 1, 1)
    assert (total.drift, total.changed_drift, total.largest) == (0, 1, 1)
    assert (total.expected, total.found, total.shapes_equal, total.dtypes_equal) == (2, 2, 2, 2)
    assert not total.all_equal
    assert Fit.of([many]).all_equal
    assert Fit.of([fit(floats(3, -1), floats(0, 0))]).all_zero


def test_a_total_of_nothing_holds_everything_and_drifts_nowhere():
    total = Fit.of([])
    assert (total.all_equal, total.all_zero, total.drift, total.largest) == (True, True, None, None)


def test_plain_values_are_finite_or_nothing():
    found = Fit.of([fit(floats(0, 1), floats(1, 1)), fit(floats(0, 0), floats(1, 2))]).to_json()
    matrices = found.pop("matrices")
    assert found == {
        "tensors": {"expected": 2, "found": 2, "shapes_equal": 2, "dtypes_equal": 2},
        "weights": 4, "equal": 1, "zero": 0, "changed": 3, "drift": None, "changed_drift": None, "largest": None,
    }  # fmt: skip
    assert matrices["w"] == {
        "found": True, "shape_equal": True, "dtype_equal": True,
        "weights": 2, "equal": 0, "zero": 0, "changed": 2, "drift": None, "changed_drift": None, "largest": None,
    }  # fmt: skip
