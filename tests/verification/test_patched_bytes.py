"""A delta's places in a shard, against a copy of the shard that is edited element by element."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.checkpoint.header import Header, TensorSpan
from spin_hub.core.delta import TensorEdit
from spin_hub.core.dtypes import itemsize
from spin_hub.errors import DeltaMismatch
from spin_hub.verification.shards import PatchMap, Place

START = 40
"""Bytes of the header."""


@st.composite
def shards(draw):
    """A shard's bytes, its header, and edits of some of its tensors; some tensors are empty."""
    generator = np.random.default_rng(draw(st.integers(0, 1_000)))
    spans, edits, at = {}, {}, START
    for number in range(draw(st.integers(1, 4))):
        dtype = draw(st.sampled_from(["BF16", "F32", "F8_E4M3", "F64"]))
        shape = (draw(st.integers(0, 3)), draw(st.integers(1, 5)))
        count, size = shape[0] * shape[1], itemsize(dtype)
        spans[f"t{number}"] = TensorSpan(dtype, shape, at, count * size)
        places = np.array(sorted(draw(st.sets(st.integers(0, count - 1)))) if count else [], np.int64)
        edits[f"t{number}"] = (dtype, shape, places)
        at += count * size
    data = generator.integers(1, 256, at, dtype=np.uint8)
    found = {}
    for name, (dtype, shape, places) in edits.items():
        if draw(st.booleans()):
            tensor = data[spans[name].start :][: spans[name].nbytes].reshape(-1, itemsize(dtype))
            found[name] = TensorEdit(shape, dtype, places, tensor[places].copy())
    return data, header_of(spans), found


def header_of(spans):
    return Header(spans, {})


def edited_by_hand(data, header, edits):
    result = data.copy()
    for name, edit in edits.items():
        span = header.spans[name]
        result[span.start :][: span.nbytes].reshape(-1, itemsize(edit.dtype))[edit.indices] = 0
    return result


def in_pieces(touched, data, borders):
    out, wrong = bytearray(), []
    for start, end in zip([0, *borders], [*borders, len(data)], strict=True):
        patched, found = touched.patched(bytearray(data[start:end]), start)
        out += patched
        wrong += found
    return out, wrong


@given(shards(), st.data())
def test_a_shard_is_edited_alike_in_pieces_of_any_size(shard, more):
    data, header, edits = shard
    borders = sorted(more.draw(st.sets(st.integers(0, len(data)), max_size=8)))
    out, wrong = in_pieces(PatchMap(header, edits, "model"), data, borders)
    assert out == edited_by_hand(data, header, edits).tobytes()
    assert wrong == []


@given(shards())
def test_every_place_is_where_the_element_lies(shard):
    _, header, edits = shard
    touched = PatchMap(header, edits, "model")
    starts, ends = touched.places()
    expected = [(header.spans[name].start + index * itemsize(edit.dtype), itemsize(edit.dtype), name, index)
                for name, edit in edits.items() for index in edit.indices.tolist()]  # fmt: skip
    assert sorted(zip(starts.tolist(), (ends - starts).tolist(), strict=True)) == [
        (start, size) for start, size, _, _ in sorted(expected)
    ]
    assert starts.tolist() == sorted(starts.tolist())
    assert touched.tensors == set(edits)
    for start, size, name, index in expected:
        for offset in (start, start + size - 1):
            assert touched.place_at(offset) == Place(name, index)
    assert touched.place_at(START - 1) == Place(None, START - 1)


@given(shards(), st.data())
def test_an_element_that_is_no_original_is_named_first_of_its_tensor(shard, more):
    data, header, edits = shard
    all_places = [(name, index) for name, edit in edits.items() for index in edit.indices.tolist()]
    if not all_places:
        return
    changed = more.draw(st.sets(st.sampled_from(all_places), min_size=1))
    there = data.copy()
    for name, index in changed:
        size = itemsize(edits[name].dtype)
        there[header.spans[name].start + index * size + more.draw(st.integers(0, size - 1))] ^= 1
    borders = sorted(more.draw(st.sets(st.integers(0, len(data)), max_size=4)))
    out, wrong = in_pieces(PatchMap(header, edits, "model"), there, borders)
    assert out == edited_by_hand(there, header, edits).tobytes()
    # Every piece tells the first of every tensor in it; the first of all is always told.
    assert set(wrong) <= {Place(name, index) for name, index in changed}
    for name in {name for name, _ in changed}:
        assert Place(name, min(index for other, index in changed if other == name)) in wrong


def test_a_piece_without_a_touched_element_is_passed_on_as_it_is():
    header = header_of({"t": TensorSpan("BF16", (4, 4), START, 32)})
    edit = TensorEdit((4, 4), "BF16", np.array([15]), np.ones((1, 2), np.uint8))
    piece = bytearray(b"\1" * (START + 30))
    patched, wrong = PatchMap(header, {"t": edit}, "model").patched(piece, 0)
    assert patched is piece
    assert wrong == []
    last, _ = PatchMap(header, {"t": edit}, "model").patched(bytearray(b"\1\1"), START + 30)
    assert last == b"\0\0"


def test_places_are_called_by_tensor_and_number():
    assert str(Place("t", 12345)) == "t[12,345]"
    assert str(Place(None, 12345)) == "byte 12,345 of the header"


@pytest.mark.parametrize(("shape", "dtype"), [((4, 2), "BF16"), ((2, 4), "F16")])
def test_another_shape_or_type_is_refused(shape, dtype):
    edit = TensorEdit((2, 4), "BF16", np.array([0]), np.zeros((1, 2), np.uint8))
    with pytest.raises(DeltaMismatch, match="in the delta"):
        PatchMap(header_of({"t": TensorSpan(dtype, shape, START, 16)}), {"t": edit}, "model")
