"""The same delta again from its record, and what is said where it is another one or cannot be made."""

import json
import shutil

import models
import pytest
import verbs

import spin_hub
from spin_hub.cli import app as cli
from spin_hub.errors import NotReproducible, UsageError
from spin_hub.recipe import Destination, ScoringRecipe, SelectionRecipe
from spin_hub.workflows import reproduce as workflow
from spin_hub.workflows.apply import ApplyOptions
from spin_hub.workflows.edit import EditRequest, edit
from spin_hub.workflows.reproduce import reproduce

pytestmark = pytest.mark.moderate

SELECTIONS = {
    "paper": SelectionRecipe(p=5e-2, q=1e-1),
    "own ratio": SelectionRecipe(p=5e-2, q=1e-1, ratios={"privacy": 2e-1}),
    "expression": SelectionRecipe(expression="fairness - privacy", q=1e-1),
    "random": SelectionRecipe(rule="random", p=5e-2, q=1e-1, seed=7),
    "published": SelectionRecipe(rule="published", p=1e-2, q=1e-2),
}


def made(folder, base, selection, kind="delta", **recipe):
    more = {"tokenization": "published", "accumulate": "model"} if selection.rule == "published" else {}
    sets = {name: f"builtin:{name}" for name in selection.names}
    scoring = ScoringRecipe(**{"samples": 3, "sets": sets, **more, **recipe})
    edit(EditRequest(str(base), scoring, selection, kind, Destination(folder), None))
    return folder


@pytest.mark.parametrize("name", list(SELECTIONS))
def test_the_same_delta_comes_out_byte_by_byte(tmp_path, tiny, name):
    delta = made(tmp_path / "delta", tiny, SELECTIONS[name])
    found = reproduce(str(delta), base=str(tiny))
    assert (found.equal, found.file_equal, found.tensors, found.versions) == (True, True, {}, {})
    assert found.shared == found.weights > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["delta"]


@pytest.mark.parametrize("kind", ["model", "peft"])
@pytest.mark.parametrize("engine", ["whole", "layerwise"])
def test_an_edited_model_and_an_adapter_by_the_engine_that_made_them(tmp_path, sharded, kind, engine):
    folder = made(tmp_path / "out", sharded, SELECTIONS["paper"], kind, engine=engine, seed=5)
    found = reproduce(str(folder), base=str(sharded))
    assert found.equal
    assert found.file_equal


def test_a_set_of_ones_own_must_hold_the_same_rows(tmp_path, tiny):
    mine = tmp_path / "mine.jsonl"
    rows = [{"prompt": f"who is {n}?", "response": f"nobody knows {n}"} for n in range(9)]
    mine.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sets = {"fairness": "builtin:fairness", "privacy": str(mine), "general": "builtin:general"}
    delta = made(tmp_path / "delta", tiny, SELECTIONS["paper"], sets=sets)
    request = {"artefact": str(delta), "base": str(tiny)}
    elsewhere = tmp_path / "elsewhere.jsonl"
    shutil.move(mine, elsewhere)
    with pytest.raises(NotReproducible, match="'privacy'.*mine.jsonl") as moved:
        reproduce(**request)
    assert moved.value.hint == "Name the file of its rows with --set privacy=FILE."
    assert reproduce(**request, sets={"privacy": str(elsewhere)}).file_equal
    elsewhere.write_text(elsewhere.read_text().replace("nobody", "somebody"))
    with pytest.raises(NotReproducible, match="'privacy'.*other rows"):
        reproduce(**request, sets={"privacy": str(elsewhere)})
    with pytest.raises(UsageError, match="no set 'law'"):
        reproduce(**request, sets={"law": str(elsewhere)})


def test_another_base_is_told_before_anything_is_scored(tmp_path, tiny, monkeypatch):
    delta = made(tmp_path / "delta", tiny, SELECTIONS["paper"])
    monkeypatch.setattr(workflow, "score_prepared", lambda *_: pytest.fail("it was scored"))
    other = models.save_checkpoint(tmp_path / "other", seed=1)
    with pytest.raises(NotReproducible, match="model.safetensors"):
        reproduce(str(delta), base=str(other))
    with pytest.raises(UsageError, match="--base"):
        reproduce(str(delta))


def test_what_no_record_describes_cannot_be_made_again(tmp_path, tiny):
    delta = made(tmp_path / "delta", tiny, SELECTIONS["paper"])
    other = made(tmp_path / "other", tiny, SELECTIONS["own ratio"])
    spin_hub.combine(str(delta), str(other), "or", output=tmp_path / "both")
    with pytest.raises(NotReproducible, match="how its weights were scored"):
        reproduce(str(tmp_path / "both"))
    variant = models.save_checkpoint(tmp_path / "variant", seed=1)
    verbs.apply(str(delta), str(variant), Destination(tmp_path / "applied"), ApplyOptions(force=True))
    with pytest.raises(NotReproducible, match="take that delta"):
        reproduce(str(tmp_path / "applied"))
    (delta / "spin.json").unlink()
    with pytest.raises(NotReproducible, match="no record"):
        reproduce(str(delta))


def test_a_difference_is_exit_3_with_where_and_which_versions(tmp_path, tiny, monkeypatch, capsys):
    folder = made(tmp_path / "delta", tiny, SELECTIONS["paper"])
    monkeypatch.setattr(workflow, "versions", lambda: {**json.loads(
        (folder / "spin.json").read_text())["recipe"]["scoring"]["environment"], "torch": "9.9"})  # fmt: skip
    real = workflow.delta_from

    def other(content, selection, base):
        from dataclasses import replace

        return real(content, replace(selection, q=8e-2), base)

    monkeypatch.setattr(workflow, "delta_from", other)
    assert cli.run(["reproduce", str(folder), "--base", str(tiny), "--json"]) == 3
    data = json.loads(capsys.readouterr().out)
    assert data["equal"] is False
    assert data["missing"] == sum(entry["missing"] for entry in data["tensors"].values()) > 0
    assert data["weights"] - data["missing"] == data["shared"]
    assert data["versions"]["torch"][1] == "9.9"
    assert cli.run(["reproduce", str(folder), "--base", str(tiny)]) == 3
    out = capsys.readouterr().out
    assert "only recorded" in out
    assert "9.9 here" in out
    assert max(map(len, out.splitlines())) <= 80
    monkeypatch.undo()
    assert cli.run(["reproduce", str(folder), "--base", str(tiny), "--quiet"]) == 0
    assert capsys.readouterr().out.strip() == str(folder)


def test_other_tokens_name_the_versions_that_made_them(tmp_path, tiny):
    delta = made(tmp_path / "delta", tiny, SELECTIONS["paper"])
    record = json.loads((delta / "spin.json").read_text("utf-8"))
    scoring = record["recipe"]["scoring"]
    assert {"transformers", "tokenizers", "torch", "safetensors", "huggingface_hub"} <= scoring["environment"].keys()
    scoring["sets"][0]["examples_sha256"] = "0" * 64
    for versions in ({}, {"tokenizers": "0.0.1"}):
        scoring["environment"] |= versions
        (delta / "spin.json").write_text(json.dumps(record), "utf-8")
        with pytest.raises(NotReproducible, match="their tokens are not") as caught:
            reproduce(str(delta), base=str(tiny))
        assert ("tokenizers 0.0.1 made them" in caught.value.message) == bool(versions)
        assert ("pip install tokenizers==0.0.1" in caught.value.hint) == bool(versions)
        assert "transformers" not in caught.value.message
