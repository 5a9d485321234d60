"""verify of an adapter: its own config and tensors are those that its delta gives."""

import json
import shutil
from pathlib import Path

import models
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from spin_hub.artifacts.delta_file import read_delta, write_delta
from spin_hub.checkpoint.index import read_index
from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.errors import DeltaMismatch, MissingDependency, ModelNotLoadable
from spin_hub.recipe import Destination, ScoringRecipe, SelectionRecipe
from spin_hub.workflows.card import card
from spin_hub.workflows.edit import EditRequest, edit
from spin_hub.workflows.export import ExportRequest, export
from spin_hub.workflows.verify import verify

FORMS = {
    "supertuning": {"form": "peft"},
    "shira": {"form": "peft", "peft_type": "shira"},
    "lora": {"form": "lora", "yes": True},
    "everywhere": {"form": "lora", "yes": True, "all_layers": True},
}
TENSORS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    base = models.save_checkpoint(folder / "base")
    request = EditRequest(str(base), ScoringRecipe(samples=2), SelectionRecipe(p=1e-2, q=1e-1), "delta",
                          Destination(folder / "delta"), None)  # fmt: skip
    edit(request)
    for name, options in FORMS.items():
        export(ExportRequest(str(folder / "delta"), base=str(base), destination=Destination(folder / name), **options))
    return folder


@pytest.fixture
def place(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "place"))


def rows(place, name, quick=False):
    found = verify(place / name, base=str(place / "base"), quick=quick)
    return [(row.what, row.file, row.expected, row.found) for row in found.differences], found.notes


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_an_adapter_that_was_written_is_that_of_its_delta(made, name, quick):
    found, notes = rows(made, name, quick)
    assert found == []
    assert all(note.startswith("Not proved,") for note in notes)
    assert verify(made / name, base=str(made / "base"), quick=quick).files == 2


@pytest.mark.parametrize("name", FORMS)
def test_a_value_of_a_tensor_that_is_another(place, name):
    path = place / name / TENSORS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    found, _ = rows(place, name)
    assert [(what, file, said) for what, file, _, said in found] == [("adapter", TENSORS, "other values")]


def test_tensors_that_are_missing_added_or_of_another_shape(place):
    path = place / "lora" / TENSORS
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    first, *_, last = sorted(tensors)
    save_file({name: value for name, value in tensors.items() if name != first}, path, metadata)
    assert [row[:2] for row in rows(place, "lora")[0]] == [("adapter", TENSORS)]
    save_file({name: value for name, value in tensors.items() if name != first} | {"a": tensors[first]}, path, metadata)
    assert rows(place, "lora")[0][0][2:] == ("no such tensor", "a (and 1 more)")
    save_file(tensors | {"zz": tensors[first]}, path, metadata)
    assert rows(place, "lora")[0] == [("adapter", TENSORS, "no such tensor", "zz")]
    save_file(tensors | {last: tensors[last].reshape(-1)}, path, metadata)
    (_, _, expected, said), = rows(place, "lora")[0]  # fmt: skip
    assert expected.startswith(last)
    assert said == f"F32 [{tensors[last].size}]"
    save_file(tensors, path, {**metadata, "mine": "note"})
    assert rows(place, "lora")[0] == []


@pytest.mark.parametrize("name", ["supertuning", "lora"])
@pytest.mark.parametrize("file", [TENSORS, CONFIG])
def test_a_file_that_is_gone(place, name, file):
    (place / name / file).unlink()
    assert [row[:2] for row in rows(place, name)[0]] == [("missing", file)]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\0" * 20, b'{"a":' * 900])
@pytest.mark.parametrize("file", [TENSORS, CONFIG])
def test_a_file_that_is_none(place, file, data):
    (place / "supertuning" / file).write_bytes(data)
    assert [row[:2] for row in rows(place, "supertuning")[0]] == [("adapter", file)]


def test_a_file_that_is_far_too_large_is_not_read(place):
    for file in (TENSORS, CONFIG):
        with (place / "lora" / file).open("r+b") as target:
            target.truncate(2**33)
    found = {file: said for _, file, _, said in rows(place, "lora")[0]}
    assert found.keys() == {TENSORS, CONFIG}
    assert all("8,589,934,592 bytes" in said for said in found.values())


def changed(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


ALPHA, NONE = "lora_alpha", "no such field"


@pytest.mark.parametrize(
    ("removed", "changes", "expected"),
    [
        ((), {ALPHA: 7}, [(ALPHA, "7")]),
        ((), {"own": 1}, [("own", "1")]),
        (("bias",), {}, [("bias", NONE)]),
        ((), {"bias": "all"}, [("bias", "all")]),
        ((), {"peft_version": "9"}, []),
        (("layers_pattern",), {"peft_version": "9"}, []),
        ((ALPHA,), {"peft_version": "9"}, [(ALPHA, NONE)]),
        (("target_modules",), {"peft_version": ["9"]}, [("target_modules", NONE)]),
        ((), {"peft_version": "9", "new": None, "newer": {}, "use_new": False}, []),
        ((), {"peft_version": "9", "use_new": True}, [("use_new", "True")]),
        ((), {"use_dora": True, "peft_version": "9"}, [("use_dora", "True")]),
    ],
)
def test_a_config_that_would_do_something_else(place, removed, changes, expected):
    path = place / "lora" / CONFIG
    known = {name: value for name, value in json.loads(path.read_text()).items() if name not in removed}
    path.write_text(json.dumps(known | changes))
    assert [(said.split()[0], there) for _, _, said, there in rows(place, "lora")[0]] == expected


def test_a_config_that_says_nothing_is_none(place):
    (place / "lora" / CONFIG).write_text(json.dumps({"peft_version": "9"}))
    said = {row[2].split()[0] for row in rows(place, "lora")[0]}
    assert {"peft_type", "r", ALPHA, "target_modules", "base_model_name_or_path", "revision"} <= said


@pytest.mark.parametrize(("name", "lie"), [("rank", 3), ("bytes", 1), ("modules", 99), ("dtypes", ["float64"]),
                                           ("peft_since", "0.1")])  # fmt: skip
def test_a_record_that_lies_about_the_adapter(place, name, lie):
    path = place / "lora" / "spin" / "spin.json"
    record = json.loads(path.read_text())
    record["adapter"][name] = lie
    path.write_text(json.dumps(record))
    found, _ = rows(place, "lora")
    assert ("record", "spin/spin.json") in {row[:2] for row in found}
    assert {row[0] for row in found} <= {"record", "card"}


def test_without_peft_there_is_no_verdict(made, monkeypatch):
    monkeypatch.setattr("spin_hub.exports.adapter.find_spec", lambda _: None)
    with pytest.raises(MissingDependency):
        rows(made, "lora")


@pytest.mark.parametrize("layers", [10**7, 60])
def test_a_base_that_asks_for_more_layers_than_it_has_is_not_built(place, layers):
    changed(place / "base" / "config.json", num_hidden_layers=layers)
    with pytest.raises(ModelNotLoadable, match="layers"):
        rows(place, "everywhere")


def test_a_local_base_has_a_name_that_no_loader_takes_for_a_repo(place):
    for path, keys in (("spin/spin.json", ("recipe", "model", "name")), (CONFIG, ("base_model_name_or_path",))):
        data = json.loads((place / "lora" / path).read_text())
        entry = data
        for key in keys[:-1]:
            entry = entry[key]
        entry[keys[-1]] = "evil/model"
        (place / "lora" / path).write_text(json.dumps(data))
    card(place / "lora")
    assert ("record", "spin/spin.json", "the name of a folder", "evil/model") in rows(place, "lora")[0]


@pytest.mark.parametrize(
    ("folder", "name"),
    [("delta", CONFIG), ("delta", TENSORS), ("lora", "model.safetensors"), ("lora", "adapter_model.bin"),
     ("shira", "config.json"), ("delta", "pytorch_model.bin")],
)  # fmt: skip
def test_a_file_beside_that_loaders_take_is_told(place, folder, name):
    (place / folder / name).write_bytes(b"{}")
    (place / folder / "notes.txt").write_bytes(b"x")
    (place / folder / "LICENSE").write_bytes(b"x")
    found, notes = rows(place, folder)
    assert [row[:2] for row in found] == [("added", name)]
    assert [note for note in notes if "notes.txt" in note and "LICENSE" not in note]


def test_a_delta_that_no_adapter_can_hold(place):
    path = place / "lora" / "spin" / "spin_delta.safetensors"
    delta, name = read_delta(path), "model.embed_tokens.weight"
    tensor = read_index(place / "base").tensors[name].span
    edit = TensorEdit(tensor.shape, tensor.dtype, np.array([0]), read_index(place / "base").raw(name, np.array([0])))
    write_delta(path, Delta({**delta.edits, name: edit}, delta.base, delta.method))
    found, _ = rows(place, "lora")
    (said,) = [said for what, file, _, said in found if (what, file) == ("adapter", TENSORS)]
    assert name in said


def test_a_base_of_another_architecture_is_refused(place):
    base = place / "other"
    models.save_checkpoint(base, models.tiny_config(num_hidden_layers=1))
    with pytest.raises(DeltaMismatch):
        verify(place / "lora", base=str(base))
