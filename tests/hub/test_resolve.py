"""Models by name, with the real client against a Hub on this machine, each case in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import server

from spin_hub.artifacts.delta_file import write_delta
from spin_hub.core.delta import BaseRef, Delta, TensorEdit

pytestmark = pytest.mark.moderate


def spin_hub(hub, folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0", **more,
    }  # fmt: skip
    environment.pop("HF_TOKEN", None)
    command = [sys.executable, "-m", "spin_hub.cli.app", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder, timeout=120)


def edit(hub, folder: Path, model: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    options = ("--p", "1e-2", "--q", "1e-1", "--samples", "2", "--json")
    return spin_hub(hub, folder, "edit", model, *options, *arguments, **more)


def test_a_hub_model_is_pinned_downloaded_edited_and_reverted(hub, sharded, tmp_path):
    hub.put("org/tiny", sharded)
    commit = hub.put("org/tiny", {"pytorch_model.bin": b"unedited twin"})
    done = edit(hub, tmp_path, "org/tiny")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
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

    assert spin_hub(hub, tmp_path, "revert", "tiny-spin", "-o", "back").returncode == 0
    for path in sharded.iterdir():
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()

    offline = edit(hub, tmp_path, "org/tiny@main", "-o", "again", HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr
    again = (tmp_path / "again" / "spin" / "spin_delta.safetensors").read_bytes()
    assert again == (edited / "spin" / "spin_delta.safetensors").read_bytes()


def a_delta(folder: Path) -> str:
    edit = TensorEdit((2, 2), "F32", np.array([1]), np.ones((1, 4), np.uint8))
    write_delta(folder / "delta.safetensors", Delta({"ghost.weight": edit}, BaseRef(), {"rule": "paper"}))
    return "delta.safetensors"


def test_a_plan_needs_no_weights(hub, sharded, tmp_path):
    commit = hub.put("org/tiny", sharded)
    done = edit(hub, tmp_path, "org/tiny", "--plan")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
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
def test_models_that_cannot_be_had_are_one_sentence(hub, sharded, tmp_path, model, kind, said):
    hub.put("org/tiny", sharded)
    hub.put("org/closed", sharded, gated=True)
    hub.put("org/pickled", {"pytorch_model.bin": b"x"})
    done = spin_hub(hub, tmp_path, "apply", a_delta(tmp_path), model, "--json")
    assert done.returncode == 1, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["type"] == kind
    assert said in error["message"]
    assert "\n" not in error["message"]
    assert not list(tmp_path.glob("*spin*"))


def test_a_hub_that_fails_and_an_empty_cache(hub, tmp_path):
    hub.fail(server.Fault("*", 500, times=None))
    arguments = ("apply", a_delta(tmp_path), "org/tiny", "--json")
    done = spin_hub(hub, tmp_path, *arguments)
    assert json.loads(done.stdout)["error"]["type"] == "HubUnreachable"
    offline = spin_hub(hub, tmp_path, *arguments, HF_HUB_OFFLINE="1")
    assert "offline" in json.loads(offline.stdout)["error"]["message"]


def test_a_folder_wins_over_a_hub_id(hub, sharded, tmp_path):
    shutil.copytree(sharded, tmp_path / "org" / "tiny")
    done = spin_hub(hub, tmp_path, "apply", a_delta(tmp_path), "org/tiny", "--json")
    assert json.loads(done.stdout)["error"]["type"] == "DeltaMismatch"
    assert not hub.seen
