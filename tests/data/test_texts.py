"""Running text from files, joined as the paper's code joins it."""

import json

import pytest

from spin_hub.data.texts import read_text
from spin_hub.errors import HubUnreachable, TextError


def no_hub(dataset_id, revision):
    raise HubUnreachable(model=dataset_id, why="these tests have no Hub")


def test_a_table_is_joined_by_blank_lines_and_a_text_is_taken_as_it_is(tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in ("One.", "", "Two.")))
    assert read_text(str(tmp_path / "a.jsonl"), no_hub) == "One.\n\n\n\nTwo."
    (tmp_path / "b.txt").write_text("Ü one\ntwo\n")
    assert read_text(str(tmp_path / "b.txt"), no_hub) == "Ü one\ntwo\n"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("none.txt", None, "no such file"),
        ("latin.txt", b"\xff\xfe\xff", "not UTF-8 text"),
        ("empty.txt", b" \n", "holds no text"),
        ("other.jsonl", b'{"words": "a"}\n', "no column 'text'"),
        ("table.csv", b"", "empty"),
        ("builtin:general", None, "neither a file nor a data set"),
        ("nonsense", None, "no such file"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path, name, content, why):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    spec = name if ":" in name or "." not in name else str(tmp_path / name)
    with pytest.raises(TextError, match=why):
        read_text(spec, no_hub)


def test_a_data_set_that_cannot_be_had(tmp_path):
    with pytest.raises(HubUnreachable, match="no Hub"):
        read_text("org/text:raw/test", no_hub)
