import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.core.dtypes import BITS, EDITABLE, itemsize
from spin_hub.core.selection import Selection


def edit(indices, shape=(4, 8), dtype="BF16"):
    return TensorEdit(shape, dtype, np.array(indices, np.int64), np.zeros((len(indices), itemsize(dtype)), np.uint8))


def delta(edits):
    return Delta({name: edit(indices) for name, indices in edits.items()}, BaseRef(), {})


@pytest.mark.parametrize(
    ("base", "pinned"),
    [(BaseRef(), None), (BaseRef("org/a"), "org/a"), (BaseRef("org/a", "c" * 40), "org/a@" + "c" * 40),
     (BaseRef(None, "c" * 40), None)],
)  # fmt: skip
def test_a_base_is_named_with_its_commit_where_that_is_known(base, pinned):
    assert base.pinned == pinned


EDITS = st.dictionaries(st.text("ab.é0", max_size=5), st.sets(st.integers(0, 31)).map(sorted))


@given(EDITS)
def test_tensors_stand_in_the_order_of_their_names(edits):
    assert list(delta(edits).edits) == sorted(edits)


@given(EDITS)
def test_the_selection_of_a_delta_is_its_indices(edits):
    assert delta(edits).selection == Selection({name: np.array(indices, int) for name, indices in edits.items()})


@given(EDITS)
def test_the_weights_of_a_delta_are_counted(edits):
    assert delta(edits).weights == sum(map(len, edits.values()))


@pytest.mark.parametrize("indices", [[3, 2], [2, 2], [-1, 2]], ids=["unsorted", "doubled", "negative"])
def test_indices_that_are_no_sorted_set_are_refused(indices):
    with pytest.raises(ValueError, match="up_proj"):
        delta({"up_proj": indices})


@pytest.mark.parametrize("dtype", sorted(EDITABLE))
def test_every_editable_type_can_be_edited(dtype):
    assert edit([0, 31], dtype=dtype).original.shape == (2, itemsize(dtype))


@pytest.mark.parametrize("dtype", [*sorted(set(BITS) - EDITABLE), "bfloat16", ""])
def test_other_types_cannot_be_edited(dtype):
    with pytest.raises(ValueError, match="cannot be edited"):
        TensorEdit((4, 8), dtype, np.array([0]), np.zeros((1, 2), np.uint8))


@pytest.mark.parametrize("shape", [(-1, 8), (4, -8), (-4, -8)])
def test_a_negative_extent_is_refused(shape):
    with pytest.raises(ValueError, match="impossible"):
        edit([0], shape=shape)


@given(st.lists(st.integers(0, 5), max_size=3), st.integers(0, 200))
def test_an_index_must_lie_within_the_shape(shape, index):
    if index < math.prod(shape):
        assert edit([index], shape=tuple(shape)).indices.tolist() == [index]
    else:
        with pytest.raises(ValueError, match="outside the shape"):
            edit([index], shape=tuple(shape))


@pytest.mark.parametrize("shape", [(1, 2), (3, 2), (2, 1), (2, 4), (4,), (2, 2, 1)])
def test_there_must_be_one_original_value_for_every_index(shape):
    with pytest.raises(ValueError, match="original value"):
        TensorEdit((4, 8), "BF16", np.array([1, 2]), np.zeros(shape, np.uint8))


def test_a_base_is_unknown_until_it_is_given():
    assert (BaseRef().repo_id, BaseRef().commit, BaseRef().files) == (None, None, {})
