import json
from pathlib import Path

import pytest
import safetensors
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from spin_hub.checkpoint.header import Header, TensorSpan, read_header
from spin_hub.errors import CorruptFile

PATH = Path("file.safetensors")
DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64,
)  # fmt: skip
SMALL = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    "b": {"dtype": "BF16", "shape": [1, 3], "data_offsets": [8, 14]},
    "c": {"dtype": "U8", "shape": [0], "data_offsets": [14, 14]},
}


def write(header, data=bytes(14)):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    PATH.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return PATH


def refused(header, data=bytes(14)):
    with pytest.raises(CorruptFile) as caught:
        read_header(write(header, data))
    return caught.value.facts["why"]


def bytes_of(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def of_every_kind():
    tensors = {}
    for number, dtype in enumerate(DTYPES):
        for shape in ((), (0,), (3, 0, 2), (5,), (2, 3)):
            values = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(number))
            tensors[f"{dtype}.{'x'.join(map(str, shape))}"] = values.to(dtype)
    return tensors


@pytest.fixture
def tensors():
    saved = of_every_kind()
    save_file(saved, PATH, metadata={"format": "pt", "note": "é"})
    return saved


def test_types_and_shapes_are_those_of_the_safetensors_library(tensors):
    spans = read_header(PATH).spans
    with safe_open(PATH, "pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        library = {name: (entry.get_dtype(), tuple(entry.get_shape())) for name, entry in slices.items()}
    assert {name: (span.dtype, span.shape) for name, span in spans.items()} == library


def test_the_spans_hold_the_bytes_of_the_tensors(tensors):
    raw = PATH.read_bytes()
    found = {name: raw[span.start : span.start + span.nbytes] for name, span in read_header(PATH).spans.items()}
    assert found == {name: bytes_of(tensor) for name, tensor in tensors.items()}


def test_the_metadata_are_those_of_the_safetensors_library(tensors):
    assert read_header(PATH).metadata == {"format": "pt", "note": "é"}


def test_the_spans_stand_in_the_order_of_their_bytes(tensors):
    starts = [span.start for span in read_header(PATH).spans.values()]
    assert starts == sorted(starts)


def test_a_file_without_tensors_is_fine():
    save_file({}, PATH)
    assert read_header(PATH) == Header({}, {})


def test_tensors_may_be_named_in_any_order():
    header = read_header(write(dict(reversed(SMALL.items()))))
    assert list(header.spans) == ["a", "b", "c"]


def test_a_tensor_without_elements_may_be_named_after_the_one_that_starts_with_it():
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    assert list(read_header(write({**SMALL, "z": empty})).spans) == ["z", "a", "b", "c"]


def test_a_packed_type_may_fill_whole_bytes():
    entry = {"a": {"dtype": "F4", "shape": [2, 3], "data_offsets": [0, 3]}}
    span = read_header(write(entry, bytes(3))).spans["a"]
    assert (span.dtype, span.shape, span.nbytes) == ("F4", (2, 3), 3)


def test_every_truncation_is_refused():
    whole = write(SMALL).read_bytes()
    for length in range(len(whole)):
        PATH.write_bytes(whole[:length])
        with pytest.raises(CorruptFile):
            read_header(PATH)


@pytest.mark.parametrize("surplus", [1, 2, 1000])
def test_appended_bytes_are_refused(surplus):
    assert "goes on" in refused(SMALL, bytes(14 + surplus))


@pytest.mark.parametrize("length", [15, 99_999_999, 100_000_001, 2**63, 2**64 - 1])
def test_a_header_longer_than_the_file_is_refused(length):
    PATH.write_bytes(length.to_bytes(8, "little") + b'{"a": "b"}')
    with pytest.raises(CorruptFile, match="18 bytes"):
        read_header(PATH)


A = '"a": {"dtype": "U8", "shape": [7], "data_offsets": [0, 7]}'
B = '"b": {"dtype": "U8", "shape": [7], "data_offsets": [7, 14]}'


@pytest.mark.parametrize(
    "header",
    [
        "{" + A + ", " + A.replace("0, 7", "7, 14") + "}",
        "{" + A.replace('"shape"', '"dtype": "U8", "shape"') + ", " + B + "}",
        '{"__metadata__": {"x": "1", "x": "2"}, ' + A + ", " + B + "}",
        '{"__metadata__": {}, "__metadata__": {}, ' + A + ", " + B + "}",
    ],
    ids=["tensor", "field", "metadata key", "metadata"],
)
def test_a_name_that_stands_twice_is_refused(header):
    assert "JSON" in refused(header.encode())


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x00\x01\x02",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"{} {}",
        b'\xff\xfe{"a": 1}',
        b'{"\xc3": 1}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": ' + b"9" * 5_000 + b"}",
    ],
    ids=range(11),
)
def test_what_is_no_json_is_refused(header):
    assert "not valid JSON" in refused(header)


@pytest.mark.parametrize("header", [b"[]", b"null", b"7", b'"text"', b"true", b"[{}]"])
def test_what_is_no_json_object_is_refused(header):
    assert "not a JSON object" in refused(header)


@pytest.mark.parametrize("metadata", [[], "text", None, 1, {"a": 1}, {"a": None}, {"a": {"b": "c"}}], ids=repr)
def test_metadata_that_are_not_text_are_refused(metadata):
    assert "metadata" in refused({**SMALL, "__metadata__": metadata})


@pytest.mark.parametrize(
    ("first", "second"),
    [((0, 7), (6, 13)), ((0, 7), (0, 7)), ((0, 14), (7, 14)), ((0, 7), (8, 15)), ((1, 8), (8, 15)), ((0, 6), (7, 14))],
    ids=["overlap", "same bytes", "within", "gap between", "gap before", "short"],
)
def test_bytes_that_overlap_or_leave_a_gap_are_refused(first, second):
    entries = {
        name: {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end]}
        for name, (begin, end) in (("a", first), ("b", second))
    }
    assert "overlap" in refused(entries, bytes(max(first[1], second[1])))


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [3]},
        {"shape": [2, 2]},
        {"shape": []},
        {"shape": [2**70, 2**70]},
        {"dtype": "F16"},
        {"dtype": "F64"},
        {"dtype": "F4"},
        {"data_offsets": [0, 7]},
        {"data_offsets": [0, 9]},
        {"data_offsets": [8, 0]},
        {"data_offsets": [0, 2**80]},
        {"shape": [-2]},
        {"shape": [-1, -2]},
        {"data_offsets": [-8, 0]},
        {"shape": [2.0]},
        {"shape": ["2"]},
        {"shape": [None]},
        {"shape": [[2]]},
        {"shape": 2},
        {"shape": "2"},
        {"shape": None},
        {"shape": {"0": 2}},
        {"data_offsets": [0.0, 8.0]},
        {"data_offsets": ["0", "8"]},
        {"data_offsets": [0]},
        {"data_offsets": [0, 4, 8]},
        {"data_offsets": None},
        {"data_offsets": "08"},
        {"dtype": "f32"},
        {"dtype": "FLOAT"},
        {"dtype": None},
        {"dtype": 7},
        {"dtype": ["F32"]},
    ],
    ids=str,
)
def test_a_tensor_that_is_described_wrongly_is_named(changes):
    assert "'a'" in refused({**SMALL, "a": {**SMALL["a"], **changes}})


@pytest.mark.parametrize("field", ["dtype", "shape", "data_offsets"])
def test_a_missing_field_is_refused(field):
    assert "'a'" in refused({**SMALL, "a": {key: value for key, value in SMALL["a"].items() if key != field}})


@pytest.mark.parametrize("entry", [None, 1, "F32", [], [1, 2], {}, True], ids=repr)
def test_a_tensor_must_be_described_by_an_object(entry):
    assert "'a'" in refused({**SMALL, "a": entry})


@pytest.mark.parametrize("changes", [{"shape": [True]}, {"data_offsets": [False, True]}, {"data_offsets": [0, True]}])
def test_booleans_are_no_numbers(changes):
    entry = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}
    assert "'a'" in refused({"a": {**entry, **changes}}, bytes(1))


FLIPS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), min_size=1, max_size=4)
LETTERS = st.lists(st.tuples(st.integers(8, 300), st.sampled_from(b' "0123456789-{}[],:.eEtrufalsn\\')), max_size=6)


@pytest.mark.parametrize("flips", [FLIPS, LETTERS], ids=["any byte", "likely bytes"])
@given(data=st.data())
def test_changed_bytes_give_a_consistent_header_or_one_kind_of_error(flips, data):
    raw = bytearray(write(SMALL).read_bytes())
    for place, value in data.draw(flips):
        raw[place % (len(raw) - 14)] = value
    PATH.write_bytes(raw)
    try:
        header = read_header(PATH)
    except CorruptFile:
        return
    position = len(raw) - sum(span.nbytes for span in header.spans.values())
    for span in header.spans.values():
        assert span.start == position
        position += span.nbytes
    assert position == len(raw)


@given(LETTERS)
def test_changed_text_is_accepted_where_the_safetensors_library_accepts_it(letters):
    raw = bytearray(write(SMALL).read_bytes())
    for place, value in letters:
        raw[8 + place % (len(raw) - 22)] = value
    PATH.write_bytes(raw)
    try:
        safetensors.deserialize(bytes(raw))
    except SafetensorError:
        with pytest.raises(CorruptFile):
            read_header(PATH)
    else:
        assert len(read_header(PATH).spans) == 3


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_hold_a_header(raw):
    PATH.write_bytes(raw)
    try:
        assert isinstance(read_header(PATH), Header)
    except CorruptFile as error:
        assert error.facts["path"] == PATH


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["F32", "a", "shape"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SMALL["a"], "a"]), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "__metadata__"]), JSON, max_size=3))
def test_any_json_is_refused_or_holds_a_header(entries):
    try:
        assert isinstance(read_header(write(entries)), Header)
    except CorruptFile as error:
        assert error.facts["path"] == PATH


def test_a_missing_file_is_an_os_error():
    with pytest.raises(FileNotFoundError):
        read_header(Path("missing"))


def test_a_span_counts_from_the_beginning_of_the_file():
    path = write(SMALL)
    begin = path.stat().st_size - 14
    assert read_header(path).spans["b"] == TensorSpan("BF16", (1, 3), begin + 8, 6)
