import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.strict_json import parse

TEXT = st.text('ab"\\é\n\U0001f600', max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)


@given(JSON)
def test_what_json_writes_is_read(value):
    assert parse(json.dumps(value)) == value
    assert parse(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "a": 2}', "twice"),
        ('[{"a": {"b": 1, "b": 1}}]', "twice"),
        ("[" * 65 + "]" * 65, "deeply"),
        ('{"a":' * 65 + "1" + "}" * 65, "deeply"),
        ("[" * 100_000 + "]" * 100_000, "deeply"),
        ('["\\ud800"]', "surrogates"),
        ('{"\\uDC00": 1}', "surrogates"),
        ("[" + "[]," * 1_500_000 + "1]", "too small"),
        ("[" + '"ab",' * 900_000 + "1]", "too small"),
        ("{" + ",".join(f'"{n}":{{}}' for n in range(500_000)) + "}", "too small"),
        ("", "Expecting value"),
        ("9" * 5_000, "digits"),
    ],
    ids=range(12),
)
def test_what_no_stranger_may_send_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        parse(text)


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(UnicodeDecodeError):
        parse(b'"\xff"')


def test_64_levels_pairs_of_surrogates_and_infinity_are_read():
    assert parse("[" * 64 + "]" * 64)
    assert parse('"\\ud83d\\ude00"') == "\U0001f600"
    assert parse("[0.0, Infinity]") == [0.0, float("inf")]


def test_doubled_keys_are_read_where_that_is_asked_for():
    assert parse('{"a": 1, "a": 2}', unique=False) == {"a": 2}


def test_the_header_of_a_large_mixture_of_experts_is_read():
    names = (f"model.layers.{n}.mlp.experts.{e}.up_proj.weight.indices" for n in range(60) for e in range(700))
    entry = {"dtype": "I32", "shape": [3], "data_offsets": [1234567, 1234579]}
    text = json.dumps(dict.fromkeys(names, entry), separators=(",", ":"))
    assert len(text) > 4 << 20
    assert len(parse(text)) == 42_000
