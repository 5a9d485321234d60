import pytest

from spin_hub.errors import CardRefused
from spin_hub.model_cards.base_card import read_base_card
from spin_hub.model_cards.front_matter import card_of
from spin_hub.model_cards.joining import joined
from spin_hub.model_cards.render import parsed

RUN = '!!python/object/apply:os.system ["touch pwned"]'
REFUSED = {
    "an alias": "a: &a [1]\nb: *a",
    "aliases that multiply": "a: &a [x, x]\nb: &b [*a, *a]\nlicense: *b",
    "a merge of aliases": "a: &a {x: 1}\nb: {<<: *a}",
    "an alias of itself": "a: &a [*a]",
    "nested deeply": "a: " + "[" * 65 + "]" * 65,
    "nested without end": "a: " + "[" * 100_000,
    "too long": "a: " + "x" * 600_000,
    "a number to the base of 60": "a: 1" + ":1" * 100,
    "a number of many digits": "a: 0x" + "f" * 5_000,
    "an object of Python": f"license: {RUN}",
    "another tag": "license: !unknown x",
    "a list": "- a\n- b",
    "a doubled dash": "a: b: c",
    "a name that is no text": "1: 2",
    "a name that is an argument": "ignore_metadata_errors: true\nself: 1",
}


@pytest.mark.parametrize("name", REFUSED)
def test_metadata_that_nobody_writes_are_refused(name, tmp_path):
    text = f"---\n{REFUSED[name]}\n---\ntext"
    with pytest.raises(ValueError):
        card_of(text)
    assert read_base_card(text) == {}
    with pytest.raises(CardRefused):
        parsed(text)
    assert not list(tmp_path.iterdir())


def test_ordinary_metadata_are_read():
    card = card_of("---\nlicense: mit\ntime: 1:30\nlanguage: [en, de]\ndate: 2026-01-02\n---\ntext")
    assert (card.data.license, card.data.language, card.text.strip()) == ("mit", ["en", "de"], "text")


def test_only_texts_are_inherited():
    text = "---\nlicense: 2026-01-02\nlanguage: [en, 1]\npipeline_tag: {a: b}\nlicense_name: mine\n---\n"
    assert read_base_card(text) == {"license_name": "mine"}


def test_two_cards_of_which_one_cannot_be_read_are_not_joined():
    with pytest.raises(CardRefused):
        joined(("---\na: &a [1]\nb: *a\n---\n", None), ("---\nlicense: mit\n---\n", None))
