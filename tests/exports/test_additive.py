"""A weight and its negative are +0.0, bit by bit, in every type for which adapters are made."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.delta import TensorEdit
from spin_hub.exports.adapter import ADDITIVE, negated, one, refusal

TYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F64": torch.float64}


def edit_of(values: torch.Tensor, dtype: str) -> TensorEdit:
    raw = values.contiguous().view(torch.uint8).numpy().reshape(len(values), -1)
    return TensorEdit((1, len(values)), dtype, np.arange(len(values)), raw)


@pytest.mark.parametrize("dtype", ADDITIVE)
@given(st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_a_weight_and_its_negative_are_zero_without_a_sign(dtype, numbers):
    values = torch.tensor(numbers, dtype=TYPES[dtype])
    other = torch.from_numpy(negated(edit_of(values, dtype))).view(TYPES[dtype]).reshape(-1)
    assert torch.equal(other, -values)
    assert not (values + other).view(torch.uint8).any()


@pytest.mark.parametrize("dtype", ADDITIVE)
def test_one_is_one(dtype):
    assert torch.from_numpy(one(dtype).copy()).view(TYPES[dtype]).item() == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_has_no_negative_is_refused(value):
    assert "not finite" in refusal(edit_of(torch.tensor([1.0, value]), "F32"))


def test_other_types_are_refused():
    assert refusal(edit_of(torch.ones(3), "F32")) is None
    assert "F64" in refusal(edit_of(torch.ones(3, dtype=torch.float64), "F64"))
    assert "F8_E4M3" in refusal(edit_of(torch.ones(3).to(torch.float8_e4m3fn), "F8_E4M3"))
