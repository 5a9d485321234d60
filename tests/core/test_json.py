import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.json import differences, differing, parse

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


@pytest.mark.parametrize(
    ("expected", "found", "within_lists", "result"),
    [
        ({"a": 1, "b": {"c": [1]}}, {"b": {"c": [1]}, "a": 1}, False, []),
        (1, 2, False, [((), 1, 2)]),
        ({"a": {"b": 1}}, {"a": {"b": 2, "c": 3}}, False, [(("a", "b"), 1, 2), (("a", "c"), None, 3)]),
        ({"a": {"b": 1}}, {"a": [1]}, True, [(("a",), {"b": 1}, [1])]),
        ({"a": [1, 2]}, {"a": [1, 3]}, False, [(("a",), [1, 2], [1, 3])]),
        ({"a": [1, 2]}, {"a": [1, 3]}, True, [(("a", "1"), 2, 3)]),
        ([{"name": "x", "v": 1}], [{"name": "x", "v": 2}], True, [(("x", "v"), 1, 2)]),
        ([1], [1, 2], True, [((), [1], [1, 2])]),
    ],
)
def test_differences_are_named_by_their_path(expected, found, within_lists, result):
    assert list(differences(expected, found, within_lists=within_lists)) == result


def test_keys_that_differ_are_sorted():
    assert differing({"b": 1, "c": 2, "d": 3}, {"a": 0, "b": 1, "c": 9, "d": 3}) == ["a", "c"]
    assert differing({}, {}) == []
