import hashlib

import models
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.data.examples import IGNORE, Example, fingerprint, make_examples, pieces
from spin_hub.data.rows import Row
from spin_hub.errors import BadRow, NoChatTemplate
from spin_hub.recipe import ScoringRecipe

TOKENIZER = models.byte_tokenizer()
TEXT = st.text(min_size=1, max_size=20)


class WithSpecials:
    """A tokenizer that adds a first and a last special token, as some do."""

    eos_token_id = 257

    def __call__(self, text, add_special_tokens=True):
        ids = TOKENIZER(text).input_ids
        return type("Encoded", (), {"input_ids": [256, *ids, 257] if add_special_tokens else ids})


def one(prompt, response, tokenizer=TOKENIZER, **changes):
    return make_examples("mine", [Row(prompt, response, 5)], tokenizer, ScoringRecipe(**changes))[0]


def counted(example) -> str:
    return TOKENIZER.decode([token for token in example.labels.tolist() if token != IGNORE])


@given(TEXT, TEXT)
def test_exact_tokenization_counts_the_response_and_nothing_else(prompt, response):
    example = one(prompt, response)
    assert example.ids.tolist() == TOKENIZER(prompt).input_ids + TOKENIZER(response).input_ids
    assert counted(example) == response
    assert example.row == 5


def test_specials_stand_around_the_prompt_alone_and_its_end_is_removed():
    example = one("ab", "cd", WithSpecials())
    assert example.ids.tolist() == [256, *TOKENIZER("abcd").input_ids]
    assert counted(example) == "cd"


@given(TEXT, st.text(min_size=2, max_size=20))
def test_published_tokenization_always_drops_the_first_token_of_the_response(prompt, response):
    example = one(prompt, response, tokenization="published")
    assert example.ids.tolist() == TOKENIZER(prompt).input_ids + TOKENIZER(response).input_ids[1:]
    assert example.counted == len(TOKENIZER(response).input_ids) - 1


@given(TEXT, TEXT)
def test_the_chat_template_stands_around_the_prompt(prompt, response):
    example = one(prompt, response, chat_template=True)
    assert TOKENIZER.decode(example.ids) == f"<user>{prompt}<assistant>{response}"
    assert counted(example) == response


def test_a_system_message_is_rendered_by_the_chat_template():
    row = Row("Why?", "Because.", 0, "Be brief.")
    [example] = make_examples("mine", [row], TOKENIZER, ScoringRecipe(chat_template=True))
    assert TOKENIZER.decode(example.ids) == "<system>Be brief.<user>Why?<assistant>Because."
    assert counted(example) == "Because."


def test_an_empty_prompt_leaves_the_first_token_without_a_predictor():
    assert counted(one("", "abc")) == "bc"


@given(st.integers(3, 30))
def test_max_length_cuts_the_end_of_the_response(limit):
    example = one("ab", "c" * 20, max_length=limit)
    assert len(example) == min(limit, 22)
    assert counted(example) == "c" * (len(example) - 2)


@pytest.mark.parametrize(
    ("prompt", "response", "changes", "said"),
    [
        ("ab", "", {}, "no token"),
        ("ab", "c", {"tokenization": "published"}, "no token"),
        ("ab", "cd", {"max_length": 2}, "max_length 2"),
        ("", "c", {}, "no token"),
    ],
)
def test_a_row_of_which_nothing_counts_is_named(prompt, response, changes, said):
    with pytest.raises(BadRow, match=rf"Row 5 of the calibration set 'mine' .*{said}"):
        one(prompt, response, **changes)


def test_a_missing_or_failing_chat_template_is_said():
    with pytest.raises(NoChatTemplate, match="none"):
        one("a", "b", models.byte_tokenizer(None), chat_template=True)
    with pytest.raises(NoChatTemplate, match="fails"):
        one("a", "b", models.byte_tokenizer("{{ raise_exception('no') }}"), chat_template=True)
    with pytest.raises(NoChatTemplate, match="fails"):
        one("a", "b", models.byte_tokenizer("{% for %}"), chat_template=True)


def example(ids, labels, row=0):
    return Example(torch.tensor(ids), torch.tensor(labels), row)


ONE, TWO = example([5, 6, 7], [IGNORE, 6, 7]), example([8], [IGNORE])


def test_only_tokens_that_are_labelled_count():
    assert (len(ONE), ONE.counted, TWO.counted) == (3, 2, 0)


def test_the_fingerprint_is_of_lengths_tokens_and_labels_in_order():
    def words(*numbers):
        return b"".join(int(number).to_bytes(8, "little", signed=True) for number in numbers)

    expected = words(3, 5, 6, 7, IGNORE, 6, 7, 1, 8, IGNORE)
    assert fingerprint([ONE, TWO]) == hashlib.sha256(expected).hexdigest()
    assert fingerprint([]) == hashlib.sha256().hexdigest()


def test_fingerprints_differ_with_tokens_labels_and_order_but_not_with_rows():
    others = [
        [TWO, ONE], [ONE], [ONE, TWO, TWO], [example([5, 6, 8], [IGNORE, 6, 7]), TWO],
        [example([5, 6, 7], [IGNORE, IGNORE, 7]), TWO],
    ]  # fmt: skip
    assert len({fingerprint(rows) for rows in [[ONE, TWO], *others]}) == 6
    assert fingerprint([example([5, 6, 7], [IGNORE, 6, 7], row=9)]) == fingerprint([ONE])


def test_pieces_show_what_counts():
    assert pieces(one("ab", "cd"), TOKENIZER) == [("a", False), ("b", False), ("c", True), ("d", True)]
