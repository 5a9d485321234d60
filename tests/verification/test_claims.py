"""What a folder says beside its bytes: what can be computed again is compared, and the rest is called not proved."""

import json
import shutil
from dataclasses import replace

import pytest
from deltas_of import delta_of
from PIL import Image

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import open_base, record_of
from spin_hub.artifacts.open import base_ref
from spin_hub.artifacts.write import describe, write_delta_folder
from spin_hub.core.delta import Delta
from spin_hub.model_cards.heat_map import HEAT_MAP
from spin_hub.progress import SILENT
from spin_hub.recipe import ScoringRecipe
from spin_hub.record import ScoringRecord
from spin_hub.workflows.card import card
from spin_hub.workflows.verify import verify

KL = {"name": "kl", "label": "KL", "axis": None, "unit": "nats", "better": "lower",
      "values": {"edited": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 8}}}  # fmt: skip
EVALUATION = {"format": 1, "states": ["base", "edited"], "metrics": [KL],
              "about": {"general_examples": 8, "pairs": {}, "dtype": "float32"}}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny):
    opened = open_base(str(tiny))
    record = record_of(opened, SILENT)
    found = delta_of(tiny)
    delta = Delta(found.edits, base_ref(record), found.method)
    place = tmp_path_factory.mktemp("made") / "delta"
    scoring = ScoringRecord(ScoringRecipe(samples=8), (), {})
    known = replace(describe("delta", delta, record, scoring, 8), evaluation=EVALUATION)
    write_delta_folder(Placed(place, False), opened, delta, known)
    return place


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made, tmp_path / "delta")
    return tmp_path / "delta"


def test_a_forged_figure_is_called_not_proved(folder, tiny):
    record = json.loads((folder / "spin.json").read_text("utf-8"))
    record["evaluation"]["metrics"][0]["values"]["edited"]["value"] = 1e-9
    (folder / "spin.json").write_text(json.dumps(record), "utf-8")
    card(folder)
    found = verify(folder, base=str(tiny))
    assert found.equal
    assert [note for note in found.notes if "Not proved" in note and "what was measured" in note]
    assert "`spin-hub reproduce`" in found.notes[-1]


@pytest.mark.parametrize("count", ["weights", "counts"])
def test_a_forged_count_differs_wherever_it_is(folder, tiny, count):
    record = json.loads((folder / "spin.json").read_text("utf-8"))
    if count == "weights":
        record["result"]["weights"] += 1
    else:
        record["result"]["counts"][next(iter(record["result"]["counts"]))] += 1
    (folder / "spin.json").write_text(json.dumps(record), "utf-8")
    card(folder)
    assert {row.what for row in verify(folder, base=str(tiny)).differences} == {"record"}


def recoloured(path):
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    for x in range(picture.width):
        for y in range(picture.height):
            if picture.getpixel((x, y)) == (0x2A, 0x2E, 0x4C):
                picture.putpixel((x, y), (255, 0, 0))
    picture.save(path)


CHANGES = {
    "cells": recoloured,
    "another picture": lambda path: Image.new("RGB", (900, 400), "white").save(path),
    "no picture": lambda path: path.write_bytes(b"GIF89a"),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:2000]),
    "a bomb": lambda path: path.write_bytes(
        path.read_bytes()[:16] + (60_000).to_bytes(4, "big") * 2 + path.read_bytes()[24:]
    ),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_heat_map_differs(folder, tiny, name):
    assert verify(folder, base=str(tiny)).equal
    CHANGES[name](folder / HEAT_MAP)
    found = verify(folder, base=str(tiny))
    assert [(row.what, row.file) for row in found.differences] == [("card", HEAT_MAP)]
    record = json.loads((folder / "spin.json").read_text("utf-8"))
    (folder / "spin.json").write_text(json.dumps({**record, "tool": "spin-hub 0.0.1"}), "utf-8")
    older = verify(folder, base=str(tiny))
    assert older.equal
    assert any("than this version draws" in note for note in older.notes)


def test_other_lettering_is_a_note(folder, tiny):
    with Image.open(folder / HEAT_MAP) as opened:
        picture = opened.convert("RGB")
    picture.putpixel((3, 3), (0, 0, 0))
    picture.save(folder / HEAT_MAP)
    found = verify(folder, base=str(tiny))
    assert found.equal
    assert any("the cells were compared" in note for note in found.notes)
