import ast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.selection import PAPER, Selection, parse
from spin_hub.errors import ExpressionError, UnknownSet

# Every combination of memberships has one element, so two expressions with one value here are one function.
MEMBERS = {"a": {1, 3, 5, 7}, "b": {2, 3, 6, 7}, "c": {4, 5, 6, 7}}
SETS = {name: Selection({"w": np.array(sorted(members))}) for name, members in MEMBERS.items()}
BINDS = {"-": 3, "&": 2, "|": 1}
ALLOWED = (ast.Expression, ast.BinOp, ast.Sub, ast.BitAnd, ast.BitOr, ast.Name, ast.Load)

TREES = st.recursive(
    st.sampled_from("abc"),
    lambda children: st.tuples(children, st.sampled_from("-&|"), children),
    max_leaves=20,
)
SOUP = st.text("ab&|-() 1$", max_size=12)
NEARLY_VALID = st.lists(st.sampled_from(["a", "b", " & ", "|", "-", "(", "(", ")", ")", " "]), max_size=9).map("".join)


def fully(tree):
    return tree if isinstance(tree, str) else f"({fully(tree[0])} {tree[1]} {fully(tree[2])})"


def minimally(tree):
    if isinstance(tree, str):
        return tree
    left, sign, right = tree
    return f"{inside(left, BINDS[sign])}{sign}{inside(right, BINDS[sign] + 1)}"


def inside(tree, binds):
    return f"({minimally(tree)})" if not isinstance(tree, str) and BINDS[tree[1]] < binds else minimally(tree)


def python(text):
    return eval(text.strip(), {"__builtins__": {}}, MEMBERS)


def value(text):
    return set(parse(text).evaluate(SETS).of("w").tolist())


def python_parses(text):
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        return False
    return all(isinstance(node, ALLOWED) for node in ast.walk(tree))


@pytest.mark.parametrize("spell", [fully, minimally])
@given(tree=TREES)
def test_an_expression_has_the_value_that_python_gives_it(spell, tree):
    assert value(spell(tree)) == python(spell(tree))


@given(TREES)
def test_superfluous_parentheses_change_nothing(tree):
    assert value(fully(tree)) == value(minimally(tree))


@given(TREES, st.text(" \t\n", max_size=3))
def test_white_space_changes_nothing(tree, space):
    text = minimally(tree)
    assert parse(space + space.join(text) + space).postfix == parse(text).postfix


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a | b & c", "a | (b & c)"),
        ("a & b - c", "a & (b - c)"),
        ("a | b - c", "a | (b - c)"),
        ("a - b - c", "(a - b) - c"),
        ("a - b & c | a", "((a - b) & c) | a"),
    ],
)
def test_minus_binds_before_and_before_or(text, same):
    assert parse(text).postfix == parse(same).postfix


def test_the_paper_rule_excludes_general_from_what_is_shared():
    assert parse(PAPER).postfix == ("fairness", "privacy", "&", "general", "-")


def test_the_names_come_once_in_the_order_of_appearance():
    assert parse("z - (a & z) | _b2").names == ("z", "a", "_b2")


def test_the_text_is_kept_without_surrounding_space():
    assert parse("  a & b\n").text == "a & b"


@pytest.mark.parametrize("texts", [SOUP, NEARLY_VALID], ids=["soup", "nearly valid"])
@given(data=st.data())
def test_exactly_what_python_parses_is_parsed(texts, data):
    text = data.draw(texts)
    try:
        parse(text)
    except ExpressionError:
        assert not python_parses(text)
    else:
        assert python_parses(text)


@pytest.mark.parametrize("texts", [SOUP, NEARLY_VALID], ids=["soup", "nearly valid"])
@given(data=st.data())
def test_a_refusal_has_a_position_within_the_text_or_at_its_end(texts, data):
    text = data.draw(texts)
    try:
        parse(text)
    except ExpressionError as error:
        assert 1 <= error.facts["position"] <= len(text) + 1


@pytest.mark.parametrize(
    ("text", "position"),
    [("", 1), ("a &", 4), ("a $ b", 3), ("(a", 3), ("a)", 2), ("a b", 3), ("& a", 1), ("1", 1), ("()", 2), ("a--b", 3)],
)
def test_the_position_is_where_the_mistake_stands(text, position):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert caught.value.facts["position"] == position


def test_an_unknown_set_is_named_with_the_known_ones():
    with pytest.raises(UnknownSet) as caught:
        parse("a & missing").evaluate(SETS)
    assert caught.value.facts == {"name": "missing", "known": "a, b, c"}


def test_deeply_nested_parentheses_have_a_value():
    assert value("(" * 100_000 + "a" + ")" * 100_000) == MEMBERS["a"]


def test_deep_nesting_to_the_right_has_a_value():
    assert value("(b-" * 5_000 + "a" + ")" * 5_000) == MEMBERS["b"] & MEMBERS["a"]


def test_a_very_long_expression_has_a_value():
    assert value("a&b|" * 2_000 + "c") == MEMBERS["a"] & MEMBERS["b"] | MEMBERS["c"]


@pytest.mark.parametrize(
    ("before", "after"),
    [("(", ""), ("(", "a"), ("-", ""), (" ", ""), ("a", ")"), ("a - ", "")],
)
def test_very_long_malformed_text_is_refused(before, after):
    with pytest.raises(ExpressionError):
        parse(before * 20_000 + after)


def test_a_very_long_name_is_a_name():
    assert parse("a" * 100_000).names == ("a" * 100_000,)
