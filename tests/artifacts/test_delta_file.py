import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from spin_hub.artifacts.container import KEY, canonical, layouts_from_json, write_container
from spin_hub.artifacts.delta_file import base_from_json, base_to_json, read_delta, write_delta
from spin_hub.checkpoint.header import read_header
from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.core.dtypes import EDITABLE, itemsize
from spin_hub.errors import CorruptFile, UnsupportedFormat

PATH = Path("spin_delta.safetensors")
SHA = "0123456789abcdef" * 4
DTYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
TEXT = st.text('ab._0é"', max_size=6)
METHOD = st.dictionaries(
    TEXT, st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.lists(TEXT), max_size=3
)
FILES = st.dictionaries(st.sampled_from(["config.json", "a b/model-1.safetensors", "é"]), st.just(SHA))
BASES = st.builds(BaseRef, st.none() | TEXT, st.none() | TEXT, FILES)


@st.composite
def edits(draw, dtypes):
    shape = tuple(draw(st.lists(st.integers(0, 6), max_size=3)))
    size, dtype = math.prod(shape), draw(st.sampled_from(dtypes))
    indices = sorted(draw(st.sets(st.integers(0, size - 1), max_size=9))) if size else []
    raw = draw(st.binary(min_size=len(indices) * itemsize(dtype), max_size=len(indices) * itemsize(dtype)))
    original = np.frombuffer(raw, np.uint8).reshape(len(indices), itemsize(dtype))
    return TensorEdit(shape, dtype, np.array(indices, np.int64), original)


def deltas(*dtypes):
    return st.builds(Delta, st.dictionaries(TEXT, edits(dtypes), max_size=4), BASES, METHOD)


def one(indices=(1, 4), shape=(2, 3), dtype="BF16"):
    original = np.arange(len(indices) * itemsize(dtype), dtype=np.uint8).reshape(-1, itemsize(dtype))
    return TensorEdit(shape, dtype, np.array(indices, np.int64), original)


def sample():
    """A delta that ends in bytes of every width."""
    base = BaseRef("org/base", "c" * 40, {"config.json": SHA, "model.safetensors": SHA})
    edited = {"up": one(), "down": one((0, 5), dtype="F8_E4M3"), "gate": one((3,), dtype="F64")}
    return Delta(edited, base, {"rule": "paper", "ratios": {"privacy": 5e-7, "fairness": 5e-7}})


def plain(delta):
    return (
        {
            name: (edit.shape, edit.dtype, edit.indices.tolist(), edit.original.tolist())
            for name, edit in delta.edits.items()
        },
        delta.base,
        delta.method,
    )


def written(delta, path=PATH):
    write_delta(path, delta)
    return path.read_bytes()


def turned(mapping):
    return {key: turned(value) if isinstance(value, dict) else value for key, value in reversed(mapping.items())}


def parts():
    """The arrays and the description of the sample, to write them again with one thing changed."""
    write_delta(PATH, sample())
    raw, header = PATH.read_bytes(), read_header(PATH)
    arrays = {}
    for name, span in header.spans.items():
        rows = np.frombuffer(raw[span.start : span.start + span.nbytes], np.uint8).reshape(-1, itemsize(span.dtype))
        arrays[name] = (span.dtype, rows)
    return arrays, json.loads(header.metadata[KEY])


def refused(arrays, about, error=CorruptFile):
    write_container(PATH, arrays, about)
    with pytest.raises(error) as caught:
        read_delta(PATH)
    return caught.value.message


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=40)
@given(data=st.data())
def test_a_delta_comes_back_as_it_was(dtype, data):
    delta = data.draw(deltas(dtype))
    write_delta(PATH, delta)
    assert plain(read_delta(PATH)) == plain(delta)


@given(deltas(*DTYPES))
def test_a_delta_of_several_types_comes_back_as_it_was(delta):
    write_delta(PATH, delta)
    assert plain(read_delta(PATH)) == plain(delta)


def test_every_editable_type_is_tested_here():
    assert set(DTYPES) == EDITABLE


@given(deltas(*DTYPES))
def test_equal_deltas_are_equal_files_in_whatever_order_they_were_built(delta):
    base = BaseRef(delta.base.repo_id, delta.base.commit, turned(delta.base.files))
    other = Delta(dict(reversed(delta.edits.items())), base, turned(delta.method))
    assert written(other, Path("other")) == written(delta)


def test_nested_methods_may_be_built_in_another_order():
    delta = sample()
    assert written(Delta(delta.edits, delta.base, turned(delta.method)), Path("other")) == written(delta)


def test_a_delta_that_was_read_is_written_as_the_same_file():
    raw = written(sample())
    assert written(read_delta(PATH), Path("other")) == raw


@pytest.mark.parametrize("change", ["value", "index", "shape", "method", "base"])
def test_unequal_deltas_are_unequal_files(change):
    delta = Delta({"up": one()}, BaseRef(), {})
    value = TensorEdit((2, 3), "BF16", np.array([1, 4]), np.zeros((2, 2), np.uint8))
    other = {
        "value": Delta({"up": value}, BaseRef(), {}),
        "index": Delta({"up": one((1, 5))}, BaseRef(), {}),
        "shape": Delta({"up": one(shape=(3, 2))}, BaseRef(), {}),
        "method": Delta({"up": one()}, BaseRef(), {"p": 0.1}),
        "base": Delta({"up": one()}, BaseRef("org/base"), {}),
    }
    assert written(other[change], Path("other")) != written(delta)


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.artifacts.delta_file import write_delta

edit = TensorEdit((4, 2), "BF16", np.array([1, 6]), np.full((2, 2), 7, np.uint8))
edits = {name: edit for name in {"a", "b", "c", "d"}}
files = {name: "0" * 64 for name in {"x", "y", "z", "w"}}
write_delta(Path(sys.argv[1]), Delta(edits, BaseRef(files=files), {name: 1 for name in {"k", "l", "m", "n"}}))
assert "torch" not in sys.modules
"""


def test_processes_that_hash_differently_write_equal_files():
    for seed in "12":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", SCRIPT, f"from-{seed}"], check=True, env=environment)
    assert Path("from-1").read_bytes() == Path("from-2").read_bytes()


def test_the_header_has_one_metadata_key_of_canonical_json():
    write_delta(PATH, sample())
    ((key, text),) = read_header(PATH).metadata.items()
    assert key == "spin_hub"
    assert text == canonical(json.loads(text))


def test_the_safetensors_library_reads_a_delta():
    write_delta(PATH, sample())
    with safe_open(PATH, "pt") as file:
        assert set(file.metadata()) == {"spin_hub"}
        assert file.get_tensor("up.indices").tolist() == [1, 4]
        assert file.get_slice("up.original").get_dtype() == "BF16"


def test_the_description_says_format_operation_and_layouts():
    about = parts()[1]
    assert about["format"] == 1
    assert about["operation"] == {"kind": "zero"}
    assert {"dtype": "BF16", "shape": [2, 3], "tensors": ["up"]} in about["layouts"]


@pytest.mark.parametrize(
    ("shape", "code"), [((2**31 - 1,), "I32"), ((2**16 - 1, 2**15), "I32"), ((2**31,), "I64"), ((2**20, 2**20), "I64")]
)
def test_positions_have_32_bits_until_they_no_longer_fit(shape, code):
    last = math.prod(shape) - 1
    write_delta(PATH, Delta({"up": one((0, last), shape)}, BaseRef(), {}))
    assert read_header(PATH).spans["up.indices"].dtype == code
    assert read_delta(PATH).edits["up"].indices.tolist() == [0, last]


def test_every_truncation_is_refused():
    for length in reversed(range(len(written(sample())))):
        os.truncate(PATH, length)
        with pytest.raises(CorruptFile):
            read_delta(PATH)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_an_unknown_format_is_refused(version):
    arrays, about = parts()
    assert "does not know" in refused(arrays, {**about, "format": version}, UnsupportedFormat)


@pytest.mark.parametrize(
    "operation", [{"kind": "add"}, {"kind": "zero", "scale": 1}, {}, "zero", None, [], {"kind": None}]
)
def test_an_unknown_operation_is_refused(operation):
    arrays, about = parts()
    assert "operation" in refused(arrays, {**about, "operation": operation}, UnsupportedFormat)


def test_a_missing_operation_is_refused():
    arrays, about = parts()
    del about["operation"]
    assert "operation" in refused(arrays, about, UnsupportedFormat)


@pytest.mark.parametrize(
    "indices",
    [[4, 1], [1, 1], [1, 6], [-1, 1], [-2, -1], [7, 2]],
    ids=["unsorted", "doubled", "outside", "negative", "all negative", "outside and unsorted"],
)
def test_positions_that_do_not_fit_the_tensor_are_refused(indices):
    arrays, about = parts()
    arrays["up.indices"] = ("I32", np.array(indices, "<i4"))
    assert "fit" in refused(arrays, about)


@pytest.mark.parametrize(
    ("name", "code", "array"),
    [
        ("up.indices", "I64", np.array([1, 4], "<i8")),
        ("up.indices", "F32", np.array([1, 4], "<f4")),
        ("up.original", "F16", np.zeros((2, 2), np.uint8)),
        ("up.original", "F32", np.zeros((2, 4), np.uint8)),
        ("up.original", "F8_E4M3", np.zeros((2, 1), np.uint8)),
    ],
)
def test_vectors_of_another_type_are_refused(name, code, array):
    arrays, about = parts()
    arrays[name] = (code, array)
    assert name in refused(arrays, about)


@pytest.mark.parametrize("length", [0, 1, 3])
def test_there_must_be_one_original_value_for_every_position(length):
    arrays, about = parts()
    arrays["up.original"] = ("BF16", np.zeros((length, 2), np.uint8))
    assert "original value" in refused(arrays, about)


@pytest.mark.parametrize("name", ["surplus", "other.indices", "up.importance"])
def test_tensors_that_the_description_does_not_name_are_refused(name):
    arrays, about = parts()
    arrays[name] = ("I32", np.array([1], "<i4"))
    assert "does not name" in refused(arrays, about)


@pytest.mark.parametrize("name", ["up.indices", "up.original"])
def test_a_missing_vector_is_refused(name):
    arrays, about = parts()
    del arrays[name]
    assert name in refused(arrays, about)


@pytest.mark.parametrize("field", ["layouts", "base", "method"])
def test_a_missing_field_is_refused(field):
    arrays, about = parts()
    del about[field]
    assert field in refused(arrays, about)


@pytest.mark.parametrize("value", [None, 1, "text", [1], [[]], {"a": 1}], ids=repr)
@pytest.mark.parametrize("field", ["layouts", "base"])
def test_a_field_of_another_form_is_refused(field, value):
    arrays, about = parts()
    refused(arrays, {**about, field: value})


@pytest.mark.parametrize("value", [None, 1, "text", [], [["a", 1]]], ids=repr)
def test_a_method_that_is_no_object_is_refused(value):
    arrays, about = parts()
    assert "method" in refused(arrays, {**about, "method": value})


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "I32"},
        {"dtype": "Q4"},
        {"dtype": None},
        {"shape": [2, 2]},
        {"shape": []},
        {"shape": [-2, -3]},
        {"shape": [2**40, 2**40]},
        {"shape": ["a"]},
        {"shape": None},
        {"shape": [1e400]},
        {"tensors": ["other"]},
        {"tensors": None},
    ],
    ids=str,
)
def test_a_layout_that_does_not_fit_is_refused(changes):
    arrays, about = parts()
    layouts = [{**layout, **changes} if layout["tensors"] == ["up"] else layout for layout in about["layouts"]]
    text = json.dumps({**about, "layouts": layouts})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spin_hub.artifacts.container.canonical", lambda _: text)
        write_container(PATH, arrays, {})
    with pytest.raises(CorruptFile):
        read_delta(PATH)


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/x",
        "a//b",
        ".hidden",
        "a/../b",
        "a/..",
        "a/.b",
        "..",
        ".",
        "./x",
        "",
        "a/",
        "/",
        "..\\x",
        "a\\b",
        "a\0b",
    ],
)
def test_file_names_that_lead_out_of_the_folder_are_refused(name):
    write_delta(PATH, Delta({}, BaseRef(files={name: SHA}), {}))
    with pytest.raises(CorruptFile, match="not the name of a model file"):
        read_delta(PATH)


@pytest.mark.parametrize("name", ["x", "a/b", "a b/c.d", "model-00001-of-00002.safetensors", "a..b", "é"])
def test_file_names_within_the_folder_are_fine(name):
    write_delta(PATH, Delta({}, BaseRef(files={name: SHA}), {}))
    assert read_delta(PATH).base.files == {name: SHA}


@pytest.mark.parametrize("digest", ["", "abc", SHA + "0", None, 1, ["0"] * 64])
def test_what_is_no_sha256_is_refused(digest):
    write_delta(PATH, Delta({}, BaseRef(files={"x": digest}), {}))
    with pytest.raises(CorruptFile, match="sha256"):
        read_delta(PATH)


@pytest.mark.parametrize("field", ["repo_id", "commit"])
@pytest.mark.parametrize("value", [1, ["a"], {}, True])
def test_the_id_and_commit_of_a_base_are_text(field, value):
    arrays, about = parts()
    assert "not text" in refused(arrays, {**about, "base": {**about["base"], field: value}})


@given(BASES)
def test_a_base_comes_back_from_json(base):
    assert base_from_json(json.loads(json.dumps(base_to_json(base)))) == base


def test_a_delta_that_was_read_does_not_need_its_file_any_more():
    write_delta(PATH, sample())
    delta = read_delta(PATH)
    PATH.write_bytes(b"")
    assert plain(delta) == plain(sample())


@pytest.mark.parametrize(
    "layouts",
    [
        [{"dtype": "F32", "shape": [2, 3], "tensors": ["a", "a"]}],
        [{"dtype": "F32", "shape": [2, 3], "tensors": ["a"]}, {"dtype": "F32", "shape": [3, 2], "tensors": ["a"]}],
        [{"dtype": "F32", "shape": ["2", 3.9], "tensors": ["a"]}],
        [{"dtype": "F32", "shape": "23", "tensors": ["a"]}],
        [{"dtype": "F32", "shape": [True, 6], "tensors": ["a"]}],
        [{"dtype": "F32", "shape": [-2, -3], "tensors": ["a"]}],
        [{"dtype": "I8", "shape": [2, 3], "tensors": ["a"]}],
    ],
)
def test_layouts_that_do_not_say_one_thing_are_refused(layouts):
    with pytest.raises((TypeError, ValueError)):
        layouts_from_json(layouts)


@pytest.mark.parametrize(
    "method",
    [
        {"ratios": {"a": "x"}},
        {"ratios": []},
        {"p": "1"},
        {"rule": 1},
        {"expression": []},
        {"chosen_on": "x"},
        {"parts": 1},
    ],
    ids=str,
)
def test_a_method_that_could_not_be_shown_is_refused(method):
    write_delta(PATH, replace(sample(), method=method))
    with pytest.raises(CorruptFile, match="method"):
        read_delta(PATH)


@pytest.mark.parametrize("name", ["x" * 256, f"sub/{'é' * 128}"])
def test_a_file_of_the_base_with_a_name_that_no_file_has_is_refused(name):
    write_delta(PATH, replace(sample(), base=BaseRef(files={name: SHA})))
    with pytest.raises(CorruptFile, match="not the name of a model file"):
        read_delta(PATH)
