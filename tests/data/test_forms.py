"""Forms of data: which columns are the prompt and the response, and what a conversation's exchange is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.data.conversations import Unusable
from spin_hub.data.rows import FORMS, Columns, Row, Table, known_columns, make_row

WHY, BECAUSE = "Why?", "Because."
TALK = [{"role": "user", "content": WHY}, {"role": "assistant", "content": BECAUSE}]


def read(**entry):
    """The row that an entry becomes, by the form that its columns have."""
    columns = known_columns(entry)
    assert columns is not None
    return make_row(columns, entry, 5)


def reason(**entry):
    with pytest.raises(Unusable) as caught:
        read(**entry)
    return str(caught.value)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_the_example_of_every_form_is_read_by_it(form):
    entry = json.loads(form.example)
    assert known_columns(entry) == form.found_in(entry)
    row = read(**entry)
    assert row.prompt and row.response and row.number == 5


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"prompt": WHY, "response": BECAUSE}, (WHY, BECAUSE)),
        ({"prompt": " Why?\n", "response": " Because. "}, (" Why?\n", " Because. ")),
        ({"prompt": WHY, "completion": BECAUSE}, (WHY, BECAUSE)),
        ({"prompt": TALK[:1], "completion": TALK[1:]}, (WHY, BECAUSE)),
        ({"prompt": WHY, "completion": TALK[1:]}, (WHY, BECAUSE)),
        ({"prompt": WHY, "response": BECAUSE, "messages": []}, (WHY, BECAUSE)),
        ({"prompt": "not read", "messages": TALK}, (WHY, BECAUSE)),
        ({"conversation": TALK}, (WHY, BECAUSE)),
        ({"conversations": [{"from": "human", "value": WHY}, {"from": "gpt", "value": BECAUSE}]}, (WHY, BECAUSE)),
        ({"messages": {"role": ["user", "assistant"], "content": [WHY, BECAUSE]}}, (WHY, BECAUSE)),
        ({"instruction": "Add.", "input": "1 and 2", "output": "3"}, ("Add.\n\n1 and 2", "3")),
        ({"instruction": "Add.", "input": " ", "output": "3"}, ("Add.", "3")),
        ({"instruction": "Add.", "input": None, "output": "3"}, ("Add.", "3")),
        ({"instruction": "Add.", "output": "3"}, ("Add.", "3")),
        ({"instruction": "Who?", "context": "A cat sat.", "response": "A cat."}, ("Who?\n\nA cat sat.", "A cat.")),
        ({"instruction": "Who?", "context": "", "response": "A cat."}, ("Who?", "A cat.")),
    ],
)
def test_a_form_is_known_by_its_columns(entry, expected):
    row = read(**entry)
    assert (row.prompt, row.response, row.system, row.more) == (*expected, "", False)


@pytest.mark.parametrize("has", [["text"], ["prompt"], ["response"], ["instruction"], ["input", "output"], []])
def test_other_columns_have_no_form(has):
    assert known_columns(has) is None


def test_the_chosen_answers_of_preferences_are_whole_conversations():
    columns = Columns(("prompt",), ("chosen",))
    for prompt in (WHY, TALK[:1]):
        assert make_row(columns, {"prompt": prompt, "chosen": TALK}, 0) == Row(WHY, BECAUSE, 0)


@pytest.mark.parametrize("speaker", ["user", "human", "Human", " USER "])
@pytest.mark.parametrize("answering", ["assistant", "gpt", "chatgpt", "model", "bot"])
@pytest.mark.parametrize(("by", "text"), [("role", "content"), ("from", "value"), ("role", "value")])
def test_speakers_have_many_names(speaker, answering, by, text):
    talk = [{by: speaker, text: WHY}, {by: answering, text: BECAUSE}]
    assert read(messages=talk) == Row(WHY, BECAUSE, 5)


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content, role="system"):
    return {"role": role, "content": content}


CALL = {"id": "1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        ([system("Be brief."), *TALK], Row(WHY, BECAUSE, 5, "Be brief.")),
        ([system("Be brief.", "developer"), system("Be kind."), *TALK], Row(WHY, BECAUSE, 5, "Be brief.\n\nBe kind.")),
        ([system(""), system(None), *TALK], Row(WHY, BECAUSE, 5)),
        ([*TALK, user("And?"), assistant("So.")], Row(WHY, BECAUSE, 5, more=True)),
        ([assistant("Hello!"), *TALK], Row(WHY, BECAUSE, 5, more=True)),
        ([user("Hi."), user(WHY), assistant(BECAUSE)], Row("Hi.\n\nWhy?", BECAUSE, 5)),
        ([user([{"type": "text", "text": "Wh"}, {"type": "text", "text": "y?"}]), TALK[1]], Row(WHY, BECAUSE, 5)),
        ([user([{"type": "input_text", "text": WHY}]), assistant(["Because", "."])], Row(WHY, BECAUSE, 5)),
        ([*TALK, assistant(None, tool_calls=[CALL])], Row(WHY, BECAUSE, 5, more=True)),
        ([TALK[0], assistant(BECAUSE, tool_calls=None, function_call=None)], Row(WHY, BECAUSE, 5)),
        ([TALK[0], assistant(BECAUSE, tool_calls=[])], Row(WHY, BECAUSE, 5)),
    ],
)
def test_the_first_answer_of_a_conversation_counts(talk, expected):
    assert read(messages=talk) == expected


@pytest.mark.parametrize(
    ("talk", "why"),
    [
        ([TALK[0], assistant(None, tool_calls=[CALL]), {"role": "tool", "content": "12"}, TALK[1]], "call of a tool"),
        ([TALK[0], assistant("Wait.", tool_calls=[CALL])], "response is a call of a tool"),
        ([TALK[0], {"from": "function_call", "value": "{}"}], "response is a call of a tool"),
        ([TALK[0], {"role": "tool", "content": "12"}, TALK[1]], "another speaker comes before the response"),
        ([TALK[0], {"content": "12"}, TALK[1]], "another speaker"),
        ([user([{"type": "image_url", "image_url": {"url": "x"}}]), TALK[1]], "prompt has parts that are not text"),
        ([user([{"type": ["text"], "text": WHY}]), TALK[1]], "prompt has parts that are not text"),
        ([user([]), TALK[1]], "prompt is not text"),
        ([user(None), TALK[1]], "prompt is missing"),
        ([TALK[0], assistant(None)], "response is missing"),
        ([TALK[0], assistant(" ")], "response is empty"),
        ([TALK[0], assistant(7)], "response is not text"),
        ([system(7), *TALK], "system message is not text"),
        ([TALK[0]], "conversation has no response"),
        ([TALK[1]], "conversation has no message of a user"),
        ([system("Be brief.")], "conversation has no message of a user"),
        ([], "conversation is empty"),
        (None, "conversation is empty"),
        ([WHY, BECAUSE], "conversation is not a list of messages"),
        (7, "conversation is not a list of messages"),
        (json.dumps(TALK), "conversation is text, not a list of messages"),
    ],
)
def test_a_conversation_without_such_an_answer_is_unusable(talk, why):
    assert why in reason(messages=talk)


@pytest.mark.parametrize(
    ("cell", "why"),
    [("", "is empty"), (" \n", "is empty"), (None, "is missing"), (7, "is not text"), (True, "is not text"),
     (["a"], "is not text"), ({"a": 1}, "is not text"), ("half \ud83d", "has half a character")],
)  # fmt: skip
@pytest.mark.parametrize("column", ["prompt", "response"])
def test_a_cell_that_is_no_text_is_unusable(column, cell, why):
    assert reason(**{"prompt": WHY, "response": BECAUSE, column: cell}) == f"{column} {why}"


def test_columns_are_joined_by_blank_lines_without_empty_ones():
    columns = Columns(("a", "b", "c"), ("d", "e"), ("f", "g"))
    entry = {"a": "A", "b": " ", "c": "C", "d": None, "e": "E", "f": "F", "g": "G"}
    assert make_row(columns, entry, 0) == Row("A\n\nC", "E", 0, "F\n\nG")
    for name, why in (("a", "prompt is not text"), ("d", "response is not text"), ("f", "system message is not text")):
        with pytest.raises(Unusable, match=why):
            make_row(columns, {**entry, name: 7}, 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["user", "assistant", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "type", "text", "tool_calls"]), inner)
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_any_json_is_a_row_of_text_or_unusable(first, second):
    for columns, entry in (
        (Columns(conversation="messages"), {"messages": first}),
        (Columns(("a", "b"), ("c",)), {"a": first, "b": "B", "c": second}),
        (Columns(("a",), ("c",), ("b",)), {"a": first, "b": second, "c": second}),
    ):
        try:
            row = make_row(columns, entry, 0)
        except Unusable as error:
            assert str(error)
        else:
            assert row.prompt.strip() and row.response.strip()


def test_a_table_of_records_counts_what_is_filled():
    table = Table.of_records([{"a": "x", "b": [1]}, {"a": " ", "c": 1}, {"b": []}, {"a": "y", "b": None}])
    assert (len(table), table.column_names) == (4, ["a", "b", "c"])
    assert [table.filled(name) for name in "abc"] == [2, 1, 0]
    assert table.entry(1, ["a", "b"]) == {"a": " ", "b": None}
