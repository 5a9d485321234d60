import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.data.spec import Spec
from spin_hub.errors import SourceError
from spin_hub.record import needs_warning

WORD = st.text("abcXYZ019_", min_size=1, max_size=8)
COLUMN = st.text('abc ",+=#.', min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("builtin:privacy", ("builtin", "privacy", None, None, "train")),
        ("beavertails:privacy-safe", ("recipe", "beavertails:privacy-safe", None, None, "train")),
        ("beavertails:privacy-safe@v1", ("recipe", "beavertails:privacy-safe", "v1", None, "train")),
        ("org/name", ("hub", "org/name", None, None, "train")),
        ("org/my-name.v2@v1.0", ("hub", "org/my-name.v2", "v1.0", None, "train")),
        ("org/name:en", ("hub", "org/name", None, "en", "train")),
        ("org/name/330k_test", ("hub", "org/name", None, None, "330k_test")),
        ("org/name@main:en/test", ("hub", "org/name", "main", "en", "test")),
        ("org/name@refs/pr/3/test", ("hub", "org/name", "refs/pr/3", None, "test")),
        ("org/name@refs/convert/parquet", ("hub", "org/name", "refs/convert/parquet", None, "train")),
    ],
)
def test_every_part_of_a_spec(text, expected):
    spec = Spec.parse("mine", text)
    assert (spec.kind, spec.target, spec.revision, spec.config, spec.split) == expected


@given(
    WORD,
    WORD,
    st.none() | WORD,
    st.none() | WORD,
    st.none() | WORD,
    st.dictionaries(st.sampled_from(["prompt", "response", "system"]), st.lists(COLUMN, min_size=1).map(tuple)),
)
def test_a_published_spec_names_the_same_rows(org, name, config, split, commit, columns):
    spec = Spec("mine", "", "hub", f"{org}/{name}", config=config, split=split or "train", columns=columns)
    again = Spec.parse("mine", spec.published(commit))
    assert (again.target, again.revision, again.config) == (spec.target, commit, config)
    assert (again.split, again.columns) == (spec.split, columns)


def test_a_published_recipe_and_file():
    assert Spec.parse("mine", "builtin:general").published() == "builtin:general"
    recipe = Spec.parse("mine", "alpaca-cleaned:no-safety@main").published("abc")
    assert recipe == "alpaca-cleaned:no-safety@abc"
    assert Spec.parse("mine", recipe).revision == "abc"


def test_an_existing_file_wins(own_folder):
    (own_folder / "org").mkdir()
    for name in ("org/name", "builtin:privacy", "org/a#prompt=b.csv"):
        (own_folder / name).write_text("x")
        assert Spec.parse("mine", name).kind == "file"
        assert Spec.parse("mine", name).columns == {}
    columns = Spec.parse("mine", "org/name#prompt=q").columns
    assert columns == {"prompt": ("q",)}
    assert Spec.parse("mine", str(own_folder / "org" / "name") + "#prompt=q").published() == "name#prompt=q"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no such file"),
        ("name", "no such file"),
        ("/org/name", "no such file"),
        ("../org/name", "no such file"),
        ("org/name/a/b", "no such file"),
        ("org/name@", "no such file"),
        ("org/name/train[:9]", "slice"),
        ("org/data.csv", "there is no such file$"),
        ("org/here/train", "is a folder"),
        ("org/*.csv", "no file matches"),
        ("org/here:train", "org/here is a folder here, and takes no config or split"),
        ("rows.csv:train", "rows.csv is a file here, and takes no config or split"),
        ("org/name#prompt=", "is not prompt=COLUMN"),
        ("org/name#answer=a", "is not prompt=COLUMN"),
        ("builtin:privacy#prompt=q", "no such file"),
    ],
)
def test_texts_that_name_nothing(own_folder, text, said):
    (own_folder / "org" / "here").mkdir(parents=True)
    (own_folder / "rows.csv").write_text("x")
    with pytest.raises(SourceError) as caught:
        Spec.parse("mine", text)
    assert re.search(said, caught.value.facts["why"])
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("licence", "warned"),
    [
        ("CC0-1.0", False),
        ("apache-2.0", False),
        ("cc-by-4.0", False),
        ("cc-by-sa-3.0", False),
        ("mit, cc-by-4.0", False),
        ("cc-by-nc-4.0", True),
        ("CC-BY-NC-SA-4.0", True),
        ("mit, cc-by-nc-4.0", True),
        ("fair-noncommercial-research-license", True),
        ("non-commercial", True),
        ("cc-by-4.0 (disputed)", True),
        ("other", True),
        ("unknown", True),
        ("", True),
    ],
)
def test_terms_that_ask_for_a_warning(licence, warned):
    assert needs_warning(licence) is warned


@pytest.mark.parametrize("text", ["~nobody-of-this-name/rows.csv", "x" * 5_000, "a\0b", "x/" * 3_000])
def test_what_cannot_be_a_path_is_no_file(text):
    with pytest.raises(SourceError):
        Spec.parse("mine", text)
