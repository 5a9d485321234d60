import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open, serialize_file
from safetensors.numpy import save_file

from spin_hub.artifacts.container import (
    KEY,
    canonical,
    checked,
    index_code,
    layouts_from_json,
    mapped,
    mapped_raw,
    read_about,
    write_container,
)
from spin_hub.artifacts.delta_file import read_delta, write_delta
from spin_hub.artifacts.ranking_file import RankingFile, read_ranking, write_ranking
from spin_hub.checkpoint.header import read_header
from spin_hub.core.delta import BaseRef, Delta
from spin_hub.core.ranking import Ranking
from spin_hub.errors import CorruptFile, UnsupportedFormat
from spin_hub.recipe import ScoringRecipe
from spin_hub.record import ModelRecord, ScoringRecord

PATH = Path("file.safetensors")
TEXT = st.text('ab"\\é\n ', max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
ARRAYS = {
    "indices": ("I32", np.array([5, 1, 3], "<i4")),
    "large": ("I64", np.array([2**40], "<i8")),
    "importance": ("F32", np.array([0.5, -1.5], "<f4")),
    "original": ("BF16", np.array([[1, 2], [3, 4], [5, 6]], np.uint8)),
    "none": ("F8_E4M3", np.empty((0, 1), np.uint8)),
}


def turned(value):
    """The same value with every object's keys in the reverse order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


def described(text):
    serialize_file({}, str(PATH), metadata={KEY: text})
    return PATH


@given(JSON)
def test_canonical_json_keeps_the_value(value):
    assert json.loads(canonical(value)) == value


@given(JSON)
def test_canonical_json_forgets_the_order_of_keys(value):
    assert canonical(turned(value)) == canonical(value)


def test_canonical_json_is_sorted_without_spaces_and_readable():
    assert canonical({"b": [1, 2.5, None], "a": {"é": True}}) == '{"a":{"é":true},"b":[1,2.5,null]}'


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_does_not_know_are_refused(number):
    with pytest.raises(ValueError, match="JSON"):
        canonical({"ratio": number})


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_what_a_container_is_about_comes_back(about):
    about = {**about, "kind": "thing", "format": 1}
    write_container(PATH, {}, about)
    assert read_about(PATH, "thing")[1] == about


def test_the_order_of_the_arrays_does_not_change_the_file():
    write_container(PATH, ARRAYS, {"kind": "thing"})
    write_container(Path("other"), turned(ARRAYS), {"kind": "thing"})
    assert PATH.read_bytes() == Path("other").read_bytes()


@pytest.mark.parametrize("name", sorted(ARRAYS))
def test_a_vector_comes_back_as_it_was_given(name):
    write_container(PATH, ARRAYS, {"kind": "thing"})
    code, array = ARRAYS[name]
    found = (mapped_raw if array.ndim == 2 else mapped)(PATH, read_header(PATH), name, code)
    assert found.dtype == array.dtype
    assert found.tolist() == array.tolist()


def test_values_of_every_type_can_be_read_as_raw_bytes():
    write_container(PATH, ARRAYS, {"kind": "thing"})
    for name, (code, array) in ARRAYS.items():
        assert mapped_raw(PATH, read_header(PATH), name, code).tobytes() == array.tobytes()


def test_a_map_cannot_be_written():
    write_container(PATH, ARRAYS, {"kind": "thing"})
    with pytest.raises(ValueError, match="read-only"):
        mapped(PATH, read_header(PATH), "indices", "I32")[0] = 7


def test_an_array_need_not_be_contiguous():
    raw = np.arange(12, dtype=np.uint8).reshape(3, 4)[:, ::2]
    write_container(PATH, {"original": ("BF16", raw)}, {"kind": "thing"})
    assert mapped_raw(PATH, read_header(PATH), "original", "BF16").tolist() == raw.tolist()


def test_the_safetensors_library_reads_a_container():
    write_container(PATH, ARRAYS, {"kind": "thing"})
    with safe_open(PATH, "pt") as file:
        assert file.metadata() == {KEY: '{"format":1,"kind":"thing"}'}
        assert file.get_tensor("indices").tolist() == [5, 1, 3]
        assert file.get_slice("original").get_dtype() == "BF16"


def test_a_container_may_be_read_by_whom_any_new_file_may():
    Path("plain").touch()
    write_container(PATH, ARRAYS, {"kind": "thing"})
    assert PATH.stat().st_mode == Path("plain").stat().st_mode


@pytest.mark.parametrize("read", [mapped, mapped_raw])
@pytest.mark.parametrize(("name", "code"), [("missing", "I32"), ("indices", "I64"), ("large", "I32"), ("none", "F32")])
def test_a_vector_of_another_type_is_refused(read, name, code):
    write_container(PATH, ARRAYS, {"kind": "thing"})
    with pytest.raises(CorruptFile, match=name):
        read(PATH, read_header(PATH), name, code)


@pytest.mark.parametrize("read", [mapped, mapped_raw])
@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_what_is_no_vector_is_refused(read, shape):
    save_file({"indices": np.zeros(shape, "<i4")}, PATH)
    with pytest.raises(CorruptFile, match="no vector"):
        read(PATH, read_header(PATH), "indices", "I32")


@pytest.mark.parametrize("metadata", [None, {"other": "{}"}, {KEY: "{}", "other": ""}], ids=str)
def test_a_file_without_the_one_key_is_refused(metadata):
    serialize_file({}, str(PATH), metadata=metadata)
    with pytest.raises(CorruptFile, match="not a thing that spin-hub wrote"):
        read_about(PATH, "thing")


@pytest.mark.parametrize("text", ["", "{", "kind", "{'kind': 1}", "[" * 100_000, "9" * 5_000], ids=range(6))
def test_a_description_that_is_no_json_is_refused(text):
    with pytest.raises(CorruptFile, match="not valid JSON"):
        read_about(described(text), "thing")


@pytest.mark.parametrize("text", ["[]", "null", "1", '"kind"'])
def test_a_description_that_is_no_object_is_refused(text):
    with pytest.raises(CorruptFile, match="not a JSON object"):
        read_about(described(text), "thing")


@pytest.mark.parametrize("about", [{"format": 1}, {"format": 1, "kind": "other"}, {"format": 1, "kind": ["thing"]}])
def test_another_kind_is_refused(about):
    with pytest.raises(CorruptFile, match="not a thing but"):
        read_about(described(canonical(about)), "thing")


@pytest.mark.parametrize("version", [0, 2, "1", None, [1], {}, 1.5])
def test_an_unknown_format_is_refused(version):
    with pytest.raises(UnsupportedFormat, match="format"):
        read_about(described(canonical({"kind": "thing", "format": version})), "thing")


def test_a_missing_format_is_refused():
    with pytest.raises(UnsupportedFormat, match="format 'None'"):
        read_about(described('{"kind":"thing"}'), "thing")


def test_a_delta_read_as_a_ranking_is_refused_with_a_sentence():
    write_delta(PATH, Delta({}, BaseRef(), {}))
    with pytest.raises(CorruptFile) as caught:
        read_ranking(PATH)
    assert caught.value.message.endswith("not what it should be: it is not a ranking but 'delta'.")


def test_a_ranking_read_as_a_delta_is_refused_with_a_sentence():
    write_ranking(PATH, RankingFile(Ranking({}, 0.1), ModelRecord("tiny"), ScoringRecord(ScoringRecipe(), (), {})))
    with pytest.raises(CorruptFile) as caught:
        read_delta(PATH)
    assert caught.value.message.endswith("not what it should be: it is not a delta but 'ranking'.")


@pytest.mark.parametrize(("size", "code"), [(0, "I32"), (1, "I32"), (2**31 - 1, "I32"), (2**31, "I64"), (2**40, "I64")])
def test_positions_are_wide_enough_for_their_tensor(size, code):
    assert index_code(size) == code


@pytest.mark.parametrize(
    "error", [KeyError("x"), TypeError("x"), ValueError("x"), AttributeError("x"), OverflowError("x")]
)
def test_parts_that_do_not_fit_make_a_corrupt_file(error):
    def build():
        raise error

    with pytest.raises(CorruptFile, match="do not fit"):
        checked(PATH, build)


def test_parts_that_fit_are_given_back():
    assert checked(PATH, lambda: 7) == 7


def test_a_description_that_says_a_thing_twice_is_refused():
    with pytest.raises(CorruptFile, match="not valid JSON"):
        read_about(described('{"format":2,"format":1,"kind":"thing"}'), "thing")


@pytest.mark.parametrize("shape", [[2**62, 4], [2**64, 0], [9**99] * 9], ids=range(3))
def test_a_shape_of_more_elements_than_there_can_be_is_refused(shape):
    with pytest.raises(ValueError, match="too many elements"):
        layouts_from_json([{"dtype": "F32", "shape": shape, "tensors": ["a"]}])
