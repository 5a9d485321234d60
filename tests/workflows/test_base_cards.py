"""Bases whose README is as people write it: what an edit inherits, and what is said of the rest."""

import json
import shutil

import pytest
from deltas_of import delta_of

from spin_hub.artifacts.delta_file import write_delta
from spin_hub.model_cards.front_matter import read_readme

TEXT = "---\nlicense: {}\nlanguage: {}\n---\n# The base\n"
CARDS = {
    "plain": (TEXT.format("mit", "[en, no]").encode(), "mit", ["en", "no"], ""),
    "no alone": (TEXT.format("mit", "no").encode(), "mit", "no", ""),
    "a mark": (TEXT.format("mit", "en").encode("utf-8-sig"), "mit", "en", ""),
    "UTF-16": (TEXT.format("mit", "en").encode("utf-16"), "mit", "en", ""),
    "other lines": (TEXT.format("mit", "en").replace("\n", "\r\n").encode(), "mit", "en", ""),
    "tabs": (TEXT.format("\tmit", "\ten").encode(), "mit", "en", ""),
    "an alias": (TEXT.format("&l mit\nx: *l", "en").encode(), "mit", "en", ""),
    "Latin-1": (TEXT.format("mit", "en").encode() + b"caf\xe9\n", "mit", "en", "Windows-1252"),
    "a colon": (TEXT.format("mit\nlicense_name: a: b", "en").encode(), "mit", "en", "license_name"),
    "a number": (TEXT.format("mit", "[en, 12]").encode(), "mit", ["en"], "12 is not text"),
    "twice": (TEXT.format("mit\nlicense: gpl-3.0", "en").encode(), "unknown", "en", "licence of the base is unknown"),
    "a tag": (TEXT.format("!x mit", "en").encode(), "unknown", "en", "licence of the base is unknown"),
    "empty": (TEXT.format("", "en").encode(), None, "en", ""),
}


@pytest.mark.parametrize("name", CARDS)
def test_an_edit_inherits_what_can_be_read_and_says_what_cannot(name, tiny, tmp_path, cli):
    content, licence, language, said = CARDS[name]
    shutil.copytree(tiny, tmp_path / "base")
    (tmp_path / "base" / "README.md").write_bytes(content)
    write_delta(tmp_path / "delta.safetensors", delta_of(tmp_path / "base"))
    code, out, err = cli("apply", tmp_path / "delta.safetensors", tmp_path / "base", "-o", tmp_path / "out", "--json")
    assert (code, json.loads(out)["weights"]) == (0, 5)
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    data = read_readme(text).data
    assert (data.get("license"), data.get("language")) == (licence, language)
    notes = json.loads((tmp_path / "out" / "spin" / "spin.json").read_text("utf-8"))["recipe"]["model"].get(
        "card_notes"
    )
    assert bool(notes) == bool(said)
    for place in (" ".join(err.split()), text.partition("## Licence")[2], " ".join(notes or [])):
        assert said in place
    # The base's own README is kept as it is.
    assert (tmp_path / "out" / "spin" / "base-README.md").read_bytes() == content
