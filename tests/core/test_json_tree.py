"""Differences of JSON values by path, and of flat mappings by key."""

import pytest

from spin_hub.core.json_tree import differences, differing


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
