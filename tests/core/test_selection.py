import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.selection import Selection

TENSORS = ("down", "gate", "up")
SETS = st.dictionaries(st.sampled_from(TENSORS), st.sets(st.integers(0, 30)))


def selection(sets):
    return Selection({name: np.array(sorted(members), dtype=np.int64) for name, members in sets.items()})


def as_sets(chosen):
    return {name: set(indices.tolist()) for name, indices in chosen}


def python(operation, left, right):
    combined = {name: operation(left.get(name, set()), right.get(name, set())) for name in TENSORS}
    return {name: members for name, members in combined.items() if members}


@pytest.mark.parametrize("operation", [operator.and_, operator.or_, operator.sub])
@given(left=SETS, right=SETS)
def test_an_operation_is_that_of_python_sets(operation, left, right):
    assert as_sets(operation(selection(left), selection(right))) == python(operation, left, right)


@given(SETS, SETS, SETS)
def test_operations_nest_as_those_of_python_sets(first, second, third):
    a, b, c = selection(first), selection(second), selection(third)
    inner = python(operator.and_, first, python(operator.or_, second, third))
    assert as_sets((a & (b | c)) - (c - a)) == python(operator.sub, inner, python(operator.sub, third, first))


@given(SETS, SETS)
def test_operations_leave_their_operands_alone(left, right):
    a, b = selection(left), selection(right)
    _ = (a & b, a | b, a - b)
    assert (a, b) == (selection(left), selection(right))


@given(SETS, SETS)
def test_equality_is_that_of_python_sets(left, right):
    nonempty = [{name: members for name, members in sets.items() if members} for sets in (left, right)]
    assert (selection(left) == selection(right)) == (nonempty[0] == nonempty[1])


@given(SETS)
def test_a_selection_equals_itself_built_in_another_order(sets):
    assert selection(sets) == selection(dict(reversed(sets.items())))


def test_a_selection_equals_nothing_but_a_selection():
    assert selection({"up": {1}}) != {"up": np.array([1])}


@given(SETS)
def test_tensors_without_indices_are_dropped(sets):
    assert [name for name, _ in selection(sets)] == sorted(name for name, members in sets.items() if members)


@given(SETS)
def test_weights_and_tensors_are_counted(sets):
    chosen = selection(sets)
    assert chosen.weights == sum(map(len, sets.values()))
    assert chosen.tensors == sum(bool(members) for members in sets.values())


@given(SETS)
def test_the_indices_of_one_tensor_are_sorted_int64(sets):
    for name in TENSORS:
        indices = selection(sets).of(name)
        assert indices.dtype == np.int64
        assert indices.tolist() == sorted(sets.get(name, set()))


@pytest.mark.parametrize(
    "indices",
    [[-1], [-3, 2], [2, 1], [0, 5, 4], [1, 1], [0, 3, 3, 4], [[0, 1], [2, 3]]],
    ids=["negative", "negative first", "unsorted", "unsorted end", "doubled", "doubled inside", "matrix"],
)
def test_indices_that_are_no_sorted_set_are_refused(indices):
    with pytest.raises(ValueError, match="up_proj"):
        Selection({"up_proj": np.array(indices)})


def test_indices_cannot_be_changed_afterwards():
    chosen = Selection({"up": [1, 2]})
    with pytest.raises(ValueError, match="read-only"):
        chosen.of("up")[0] = 7


@pytest.mark.parametrize("dtype", ["<i4", "<i8", "uint8"])
def test_the_type_of_the_given_indices_does_not_matter(dtype):
    assert Selection({"up": np.array([1, 2], dtype=dtype)}) == selection({"up": {1, 2}})


def test_positions_beyond_32_bits_are_kept():
    assert Selection({"up": np.array([2**31, 2**40])}).of("up").tolist() == [2**31, 2**40]
