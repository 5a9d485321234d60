"""Deltas as sets of weights with values: the laws of sets, the values kept, and other bases refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.algebra import combine, overlap, overlaps
from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.errors import BasesDiffer

SHAPE = (4, 8)
VALUES = np.random.default_rng(0).integers(0, 256, (32, 2), np.uint8)
BASE = BaseRef("org/tiny", "c" * 40, {"model.safetensors": "a" * 64, "README.md": "b" * 64})


def edit(indices, shape=SHAPE, dtype="BF16", values=VALUES) -> TensorEdit:
    positions = np.array(sorted(indices), np.int64)
    return TensorEdit(shape, dtype, positions, values[positions])


def delta(sets, base=BASE, method=None) -> Delta:
    return Delta({name: edit(indices) for name, indices in sets.items()}, base, method or {"rule": "paper"})


SETS = st.dictionaries(st.sampled_from("xyz"), st.sets(st.integers(0, 31)))
PAIRS = st.tuples(SETS, SETS)


def as_sets(found: Delta) -> dict[str, set[int]]:
    return {name: set(entry.indices.tolist()) for name, entry in found.edits.items()}


@given(PAIRS)
def test_the_operators_are_those_of_sets_tensor_by_tensor(pair):
    one, two = pair
    a, b = delta(one), delta(two)
    operators = {"and": set.__and__, "or": set.__or__, "sub": set.__sub__}
    for how, found in {"and": a & b, "or": a | b, "sub": a - b}.items():
        expected = {name: operators[how](one.get(name, set()), two.get(name, set())) for name in {*one, *two}}
        assert as_sets(found) == {name: indices for name, indices in expected.items() if indices}
        assert as_sets(combine(a, b, how)) == as_sets(found)
        for entry in found.edits.values():
            assert (entry.original == VALUES[entry.indices]).all()


@given(PAIRS)
def test_the_parts_of_a_union_add_up_to_it(pair):
    a, b = (delta(sets) for sets in pair)
    assert as_sets((a - b) | (a & b) | (b - a)) == as_sets(a | b)


@given(PAIRS)
def test_overlap_counts_what_the_operators_give(pair):
    a, b = (delta(sets) for sets in pair)
    found = overlap(a, b)
    assert (found.a, found.b, found.shared) == (a.weights, b.weights, (a & b).weights)
    assert (found.only_a, found.only_b) == ((a - b).weights, (b - a).weights)
    union = (a | b).weights
    assert found.jaccard == (found.shared / union if union else None)
    assert sum(part.shared for part in overlaps(a, b).values()) == found.shared


def test_what_chance_would_share_is_added_up_by_tensor():
    a, b = delta({"x": range(8), "y": range(4)}), delta({"x": range(4, 20), "z": range(30)})
    assert overlap(a, b).expected == 8 * 16 / 32
    assert overlaps(a, b)["y"].to_json() == {
        "a": 4, "b": 0, "shared": 0, "only_a": 4, "only_b": 0, "jaccard": 0.0, "expected_by_chance": 0.0,
    }  # fmt: skip


def test_the_method_says_what_was_combined():
    found = delta({"x": [1, 2]}, method={"rule": "paper"}) - delta({"x": [2]}, method={"rule": "random"})
    assert found.method == {
        "rule": "combined",
        "expression": "a - b",
        "parts": {"a": {"rule": "paper"}, "b": {"rule": "random"}},
        "tensors": 1,
        "weights": 1,
    }


def test_the_fuller_base_is_kept():
    local = BaseRef(files={"model.safetensors": "a" * 64})
    for a, b in ((BASE, local), (local, BASE)):
        assert (delta({"x": [1]}, a) | delta({"x": [2]}, b)).base == BASE


SAME = {
    "the same files under other names": BaseRef("me/copy", "d" * 40, {"model.safetensors": "a" * 64}),
    "the same files here": BaseRef(files={"model.safetensors": "a" * 64, "README.md": "f" * 64}),
    "the same commit without files": BaseRef("org/tiny", "c" * 40),
}
OTHER = {
    "other files": BaseRef("org/tiny", "c" * 40, {"model.safetensors": "e" * 64}),
    "another commit": BaseRef("org/tiny", "d" * 40),
    "another repo": BaseRef("org/large", "c" * 40),
    "no commit": BaseRef("org/tiny"),
    "nothing known": BaseRef(),
}


@pytest.mark.parametrize("base", SAME.values(), ids=SAME)
def test_bases_that_are_known_to_be_one(base):
    assert (delta({"x": [1]}) & delta({"x": [1]}, base)).weights == 1


@pytest.mark.parametrize("base", OTHER.values(), ids=OTHER)
def test_other_bases_are_refused(base):
    for operation in (Delta.__and__, Delta.__or__, Delta.__sub__, overlap, overlaps):
        with pytest.raises(BasesDiffer):
            operation(delta({"x": [1]}), delta({"x": [1]}, base))
    with pytest.raises(BasesDiffer):
        delta({"x": [1]}, BaseRef()) & delta({"x": [1]}, BaseRef())


CONFLICTS = {
    "BF16 [4, 8] in one and BF16 [8, 4]": edit([1], (8, 4)),
    "BF16 [4, 8] in one and F16 [4, 8]": edit([1], dtype="F16"),
    "differ at position 2": edit([1, 2], values=np.concatenate([VALUES[:2], VALUES[3:], VALUES[:1]])),
}


@pytest.mark.parametrize("why", CONFLICTS)
def test_tensors_that_are_not_one_are_refused(why):
    other = Delta({"x": CONFLICTS[why]}, BASE, {})
    with pytest.raises(BasesDiffer) as caught:
        delta({"x": [1, 2, 5]}) | other
    assert why in str(caught.value)


def test_other_things_are_no_deltas():
    with pytest.raises(TypeError):
        delta({}) | {}
