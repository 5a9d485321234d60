"""The recipes of the paper's experiments: each is a request for an edit, and differs from the others in one thing."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from spin_hub.artifacts.recipe_file import read_recipe_file

FOLDER = Path(__file__).parents[2] / "examples" / "paper"
RECIPES = sorted(FOLDER.glob("*.toml"))


def test_every_experiment_has_a_recipe():
    assert {path.stem for path in RECIPES} == {
        "definition", "published", "attention", "all", "no-exclusion", "malicious", "random",
        *(f"examples-{count}" for count in (8, 32, 128, 512, 1000)),
    }  # fmt: skip
    text = (FOLDER.parents[1] / "docs" / "paper.md").read_text("utf-8")
    for path in RECIPES:
        assert f"`{path.name}`" in text or path.stem.startswith("examples-")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_each_is_a_request_that_starts(path, tiny, monkeypatch):
    from spin_hub.cli.app import app
    from spin_hub.workflows import edit as workflow

    asked = []

    def edit(request, reporter):
        asked.append(request)
        raise KeyboardInterrupt

    monkeypatch.setattr(workflow, "edit", edit)
    CliRunner().invoke(app, ["edit", str(tiny), "--recipe", str(path)])
    (request,) = asked
    options = read_recipe_file(path)
    assert request.scoring.samples == options.get("samples", 128)
    assert request.scoring.target == options.get("target", "mlp")
    assert request.selection.rule == options.get("rule", "paper")
    assert (request.selection.p, request.selection.q) == (5e-7, 5e-7)
    sources = set(request.scoring.sets.values())
    assert all(source.startswith(("beavertails:", "alpaca-cleaned:")) for source in sources)
    assert any("unsafe" in source for source in sources) == (path.stem == "malicious")
    assert ("general" in request.scoring.sets) == (path.stem != "no-exclusion")
