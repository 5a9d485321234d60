"""Models by name, with the real client against a Hub on this machine, each case in a process of its own."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import server

from spin_hub.artifacts.delta_file import write_delta
from spin_hub.core.delta import BaseRef, Delta, TensorEdit

RATIOS = ("--p", "1e-2", "--q", "1e-1", "--samples", "2", "--json")


def test_a_hub_model_is_pinned_downloaded_edited_and_reverted(hub, visitor, sharded, tmp_path):
    hub.put("org/tiny", sharded)
    commit = hub.put("org/tiny", {"pytorch_model.bin": b"unedited twin"})
    outcome = visitor.run("edit", "org/tiny", *RATIOS, who=None).data
    assert outcome["base"] == {"repo_id": "org/tiny", "commit": commit}
    edited = tmp_path / "tiny-spin"
    assert not (edited / "pytorch_model.bin").exists()
    card = (edited / "README.md").read_text()
    assert "base_model: org/tiny" in card
    assert "base_model_relation: finetune" in card
    assert "pytorch_model.bin" in card
    assert "license: apache-2.0" in card
    assert f"spin-hub edit org/tiny@{commit}" in card
    cache = [path for path in (tmp_path / "hf").rglob("*") if path.is_file()]
    assert not [path for path in cache if "pytorch_model" in path.name]

    assert visitor.run("revert", "tiny-spin", "-o", "back", who=None).code == 0
    for path in sharded.iterdir():
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()

    offline = visitor.run("edit", "org/tiny@main", "-o", "again", *RATIOS, who=None, HF_HUB_OFFLINE="1")
    assert offline.code == 0, offline.stderr
    again = (tmp_path / "again" / "spin" / "spin_delta.safetensors").read_bytes()
    assert again == (edited / "spin" / "spin_delta.safetensors").read_bytes()


def a_delta(folder: Path) -> str:
    edit = TensorEdit((2, 2), "F32", np.array([1]), np.ones((1, 4), np.uint8))
    write_delta(folder / "delta.safetensors", Delta({"ghost.weight": edit}, BaseRef(), {"rule": "paper"}))
    return "delta.safetensors"


def test_a_plan_needs_no_weights(hub, visitor, sharded, tmp_path):
    commit = hub.put("org/tiny", sharded)
    done = visitor.run("edit", "org/tiny", "--plan", *RATIOS, who=None)
    plan = done.data
    assert (plan["model"], plan["commit"]) == ("org/tiny", commit)
    assert sum(entry["matrices"] for entry in plan["matrices"]) == 12
    sizes = sum(path.stat().st_size for path in sharded.iterdir())
    assert sizes <= plan["disk"] <= sizes + (32 << 20)
    assert not [path for path in (tmp_path / "hf").rglob("*") if path.suffix == ".safetensors"]
    assert {path.name for path in tmp_path.iterdir()} == {"hf"}


@pytest.mark.parametrize(
    ("model", "kind", "said"),
    [
        ("org/nothing", "ModelNotFound", "no such model"),
        ("org/tiny@v9", "ModelNotFound", "no such revision"),
        ("org/closed", "AccessDenied", "gated"),
        ("org/pickled", "NoSafetensors", "pytorch_model.bin"),
        ("not-an-id", "ModelNotFound", "no such folder"),
        ("a/b/c", "ModelNotFound", "no such folder"),
        ("./missing", "ModelNotFound", "no such folder"),
        ("org/bad name", "ModelNotFound", ""),
    ],
)
def test_models_that_cannot_be_had_are_one_sentence(hub, visitor, sharded, tmp_path, model, kind, said):
    hub.put("org/tiny", sharded)
    hub.put("org/closed", sharded, gated=True)
    hub.put("org/pickled", {"pytorch_model.bin": b"x"})
    done = visitor.run("apply", a_delta(tmp_path), model, "--json", who=None)
    error = done.error
    assert error["type"] == kind
    assert said in error["message"]
    assert "\n" not in error["message"]
    assert not list(tmp_path.glob("*spin*"))


def test_a_hub_that_fails_and_an_empty_cache(hub, visitor, tmp_path):
    hub.fail(server.Fault("*", 500, times=None))
    arguments = ("apply", a_delta(tmp_path), "org/tiny", "--json")
    done = visitor.run(*arguments, who=None)
    assert done.error["type"] == "HubUnreachable"
    offline = visitor.run(*arguments, who=None, HF_HUB_OFFLINE="1")
    assert "offline" in offline.error["message"]


def test_a_folder_wins_over_a_hub_id(hub, visitor, sharded, tmp_path):
    shutil.copytree(sharded, tmp_path / "org" / "tiny")
    done = visitor.run("apply", a_delta(tmp_path), "org/tiny", "--json", who=None)
    assert done.error["type"] == "DeltaMismatch"
    assert not hub.seen
