"""READMEs of others: read as the Hub reads them, and nothing lost without a word."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.errors import CardRefused
from spin_hub.model_cards.front_matter import UNKNOWN, decoded, read_base_card, read_readme, write_readme
from spin_hub.model_cards.render import joined, parsed

WORDS = st.sampled_from(
    ["no", "yes", "on", "~", "1e3", "0o17", "012", "1:30", "2026-01-02", "null", ".5", "- x", "a: b"]
)
TEXTS = st.text(st.characters(exclude_categories=["C"]), max_size=12) | WORDS
NUMBERS = st.booleans() | st.none() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    TEXTS | NUMBERS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
METADATA = st.dictionaries(TEXTS.filter(lambda key: key != "<<"), VALUES, max_size=5)


def readme(block: str) -> str:
    return f"---\n{block}\n---\ntext"


@given(METADATA)
def test_metadata_are_read_as_they_were_written(data):
    assert read_readme(write_readme(data, "text")).data == data
    # JSON is YAML 1.2.
    assert read_readme(readme(json.dumps(data, ensure_ascii=False))).data == data


@given(METADATA)
def test_no_encoding_and_no_line_end_changes_what_is_read(data):
    text = write_readme(data, "täxt\n")
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le"):
        mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
        for line in (text, text.replace("\n", "\r\n")):
            assert read_readme(decoded(mark + line.encode(encoding))) == read_readme(text)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: readme(text).encode("utf-8", "replace")))
def test_nothing_is_an_error_in_the_readme_of_a_base(content):
    card = read_base_card(content)
    json.dumps(card.fields)
    assert all(isinstance(entry, str) for value in card.fields.values() for entry in value)


@given(
    st.lists(
        st.sampled_from(["license: mit", "language: [en, no]", "x: a: b", "x: *y", "x: !t z", "\tx", "- x", "# x"])
    )
)
def test_a_licence_and_a_language_survive_whatever_is_beside_them(lines):
    card = read_base_card(readme("\n".join(lines)).encode())
    for name, line, value in (("license", "license: mit", "mit"), ("language", "language: [en, no]", ["en", "no"])):
        if line in lines:
            assert card.fields.get(name) == value or any(name.replace("se", "ce") in note for note in card.notes)


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        ("language: no\nlicense: mit", {"language": "no", "license": "mit"}),
        ("language: [en, no]\nlicense: mit", {"language": ["en", "no"], "license": "mit"}),
        ("license:\tmit\t# so it is\nlanguage:\ten", {"license": "mit", "language": "en"}),
        ("language: en\n\t\nlicense: mit\n \t", {"language": "en", "license": "mit"}),
        ("x: &l mit\nlicense: *l", {"license": "mit"}),
        ("x: &x {license: mit}\n<<: *x", {"license": "mit"}),
        ("license: mit\nlicense: mit", {"license": "mit"}),
        ("license:\nlanguage: en", {"language": "en"}),
        ("license: mit\ntime: 1:30\ndate: 2026-01-02\n1: 2\nself: 1", {"license": "mit"}),
        ("license: 2026-01-02", {"license": "2026-01-02"}),
        ("license: other\nlicense_name: 0x\nlicense_link: LICENSE",
         {"license": "other", "license_name": "0x", "license_link": "LICENSE"}),
        ("license: mit\nmodel-index: []\ntags: [gguf]", {"license": "mit"}),
    ],
)  # fmt: skip
def test_what_the_hub_accepts_is_inherited_whole(block, fields):
    card = read_base_card(readme(block).encode())
    assert (card.fields, card.notes) == (fields, ())


@pytest.mark.parametrize("text", ["", "no metadata", "---\nprose\n---\nmore", "---\n---\ntext"])
def test_a_readme_without_metadata_says_nothing(text):
    assert read_base_card(text.encode()) == read_base_card(b"")


LOST = {
    "a colon in a value": ("license: mit\nlicense_name: a: b", {"license": "mit"}, "license_name"),
    "a name twice": ("license: mit\nlicense: gpl-3.0\nlanguage: en", {"license": UNKNOWN, "language": "en"}, "twice"),
    "no text in a list": ("license: mit\nlanguage: [en, 12]", {"license": "mit", "language": ["en"]}, "12"),
    "no text": ("license: 12\nlicense_name: mine", {"license": UNKNOWN, "license_name": "mine"}, "12 is not text"),
    "a tree": ("license: mit\npipeline_tag: {a: b}", {"license": "mit"}, "pipeline_tag"),
    "a tab that indents": ("license: mit\nlanguage:\n\t- en", {"license": "mit"}, "language"),
    "an alias without an anchor": ("license: *x\nlanguage: en", {"license": UNKNOWN, "language": "en"}, "anchor"),
    "an alias of itself": ("x: &a [*a]\nlicense: *a", {"license": UNKNOWN}, "anchor"),
    "an object of Python": ('license: !!python/object/apply:os.system ["x"]', {"license": UNKNOWN}, "tag"),
    "another tag": ("license: !unknown x", {"license": UNKNOWN}, "tag"),
    "a list": ("- a\n- b", {"license": UNKNOWN}, "mapping"),
    "not closed": (": [broken", {"license": UNKNOWN}, "line 2"),
    "too long": ("a: " + "x" * 600_000, {"license": UNKNOWN}, "longer"),
    "two documents": ("license: mit\n--- \nlicense: gpl", {"license": "mit"}, None),
}


@pytest.mark.parametrize("name", LOST)
def test_what_cannot_be_read_is_said_and_all_else_is_kept(name):
    block, fields, said = LOST[name]
    card = read_base_card(readme(block).encode())
    assert card.fields == fields
    assert (not card.notes) if said is None else any(said in note for note in card.notes)


def test_metadata_without_an_end_are_said_and_a_rule_above_prose_is_none():
    card = read_base_card(b"---\nlicense: mit\nlanguage: en\n\n# Tiny\n")
    assert card.fields["license"] == "unknown"
    assert "no line --- at their end" in card.notes[0]
    assert read_base_card(b"---\nNote: a rule above prose.\n") == read_base_card(b"")


def test_a_readme_in_another_encoding_keeps_its_letters_and_says_so():
    card = read_base_card(readme("license: other\nlicense_name: café").encode("latin-1"))
    assert card.fields["license_name"] == "café"
    assert "Windows-1252" in card.notes[0]


BOMB = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(12))


@pytest.mark.parametrize(
    "block",
    [
        BOMB,
        "a: &a {x: 1}\nb: {" + "<<: *a, " * 20_000 + "}",
        "a: " + "[" * 100_000,
        "a: 1" + ":1" * 5_000,
        "a: 0x" + "f" * 5_000,
        "a:: b\n" * 50_000,
        '"' * 99_999,
    ],
)
def test_no_metadata_take_more_than_their_length(block):
    assert len(json.dumps(read_readme(readme(f"{block}\nlicense: mit")).data)) < 4 * len(block) + 9_000


def test_aliases_are_written_out():
    data = read_readme(readme("a: &a [x]\nb: *a\nc: {<<: &m {k: *a}, l: 1}")).data
    assert data == {"a": ["x"], "b": ["x"], "c": {"k": ["x"], "l": 1}}
    assert "&" not in write_readme(data, "")


@pytest.mark.parametrize("block", ["license: mit\nx: a: b", "x: *y", "x: 1\nx: 2", "- a"])
def test_of_the_users_own_metadata_nothing_is_lost(block):
    mine = readme(block)
    with pytest.raises(CardRefused, match=r"README\.md cannot be read") as caught:
        parsed(mine)
    assert "---" in caught.value.hint
    with pytest.raises(CardRefused, match=r"README\.md in org/x cannot be read"):
        joined((None, None), (mine, None), "org/x")


def test_metadata_that_are_written_again_may_be_anything():
    assert parsed(readme("tags: a: b\nspin_hub: 1\nspin_hub: 2\nlicense: mit")).data["license"] == "mit"
