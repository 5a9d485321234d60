"""Weights chosen in a part of a model alone: the part is recorded, told and made again."""

import json
import re
import shlex
from dataclasses import replace

import pytest
import verbs
from typer.testing import CliRunner

import spin_hub
from spin_hub.artifacts.open import open_delta, read_record
from spin_hub.artifacts.recipe_file import read_recipe_file
from spin_hub.cli import app as cli
from spin_hub.core.names import layer_and_matrix
from spin_hub.core.selection import Selection
from spin_hub.errors import CorruptFile, EmptySelection, UsageError
from spin_hub.model_cards.body import edit_command
from spin_hub.recipe import Destination, Limits, ScoringRecipe, SelectionRecipe
from spin_hub.workflows.edit import EditRequest, edit
from spin_hub.workflows.plan import plan
from spin_hub.workflows.reproduce import reproduce
from spin_hub.workflows.sweep import SweepRequest, sweep

pytestmark = pytest.mark.moderate

SCORING = ScoringRecipe(samples=3)
PART = spin_hub.Part("*.up_proj.weight", "1-2")
WHOLE = SelectionRecipe(p=1e-2, q=1e-1)
INSIDE = replace(WHOLE, part=PART)


def delta_of(folder):
    return open_delta(folder)[0]


def in_part(name):
    layer, matrix = layer_and_matrix(name)
    return layer in (1, 2) and matrix == "mlp.up_proj"


@pytest.fixture(scope="module")
def ranking(sharded, tmp_path_factory):
    path = tmp_path_factory.mktemp("ranking") / "ranking.safetensors"
    return verbs.score(str(sharded), SCORING, Destination(path), 1e-1).output


@pytest.fixture(scope="module")
def edited(sharded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("edited") / "delta"
    edit(EditRequest(str(sharded), SCORING, INSIDE, "delta", Destination(folder), None))
    return folder


def test_an_edit_of_a_part_is_that_part_of_the_whole_edit(edited, ranking, tmp_path):
    whole = delta_of(verbs.select(ranking, WHOLE, Destination(tmp_path / "whole")).output)
    part = delta_of(edited)
    assert part.selection == Selection({name: places for name, places in whole.selection if in_part(name)})
    assert 0 < part.weights < whole.weights
    assert (part.method["part"], part.method["layers"]) == (PART.target, PART.layers)
    assert not {"part", "layers"} & whole.method.keys()
    selected = verbs.select(ranking, INSIDE, Destination(tmp_path / "part"))
    assert delta_of(selected.output).selection == part.selection
    assert selected.record.result.candidates == read_record(edited / "spin.json").result.candidates == 2


def test_an_edit_of_a_part_is_made_again_from_its_record(edited, sharded, tmp_path):
    found = reproduce(str(edited), base=str(sharded))
    assert (found.equal, found.file_equal) == (True, True)
    options = read_recipe_file(edited / "spin.json")
    assert (options["part"], options["layers"]) == (PART.target, PART.layers)


@pytest.mark.parametrize("rule", ["paper", "random"])
def test_a_part_that_a_sweep_picked_is_made_again(sharded, tmp_path, rule):
    limits = Limits(max_kl=1e3, max_perplexity_ratio=1e3)
    request = SweepRequest(str(sharded), scoring=SCORING, ps=(1e-2,), qs=(1e-1,), rules=(rule,), layers=("1-2",),
                           keep=1e-1, limits=limits, pick="1", destination=Destination(tmp_path / "sweep"))  # fmt: skip
    outcome = sweep(request)
    assert {layer_and_matrix(name)[0] for name in outcome.delta.record.result.counts} <= {1, 2}
    assert outcome.delta.record.method["layers"] == "1-2"
    found = reproduce(str(outcome.delta.output), base=str(sharded))
    assert (found.equal, found.file_equal) == (True, True)


def test_the_card_says_the_part_and_its_command_makes_the_edit_again(edited, sharded, tmp_path):
    card = (edited / "README.md").read_text()
    assert "| chosen in | `*.up_proj.weight`, layers 1-2 alone |" in card
    command = next(line for line in card.splitlines() if line.startswith("spin-hub edit "))
    words = [str(sharded) if word == "path/to/sharded" else word for word in shlex.split(command)[1:]]
    done = CliRunner().invoke(cli.app, [*words, "-o", str(tmp_path / "again"), "--no-eval", "--json"])
    assert done.exit_code == 0, done.output
    assert delta_of(tmp_path / "again").selection == delta_of(edited).selection


def test_an_inspection_names_the_part(edited):
    assert spin_hub.inspect(edited).facts["rule"].endswith(" (in *.up_proj.weight, layers 1-2)")


def test_a_plan_counts_the_part_alone(sharded):
    found = [plan(EditRequest(str(sharded), SCORING, selection)) for selection in (WHOLE, INSIDE)]
    whole, part = (sum(matrix.matrices for matrix in entry.matrices) for entry in found)
    assert part == 2 < whole


@pytest.mark.parametrize("search", [False, True])
def test_a_part_without_a_matrix_is_refused_before_anything_is_scored(sharded, tmp_path, monkeypatch, search):
    monkeypatch.setattr("spin_hub.workflows.edit.score_prepared", None)
    selection = replace(WHOLE, part=spin_hub.Part(layers="40-50"))
    limits = Limits() if search else None
    request = EditRequest(str(sharded), SCORING, selection, "delta", Destination(tmp_path / "out"), limits,
                          search=search)  # fmt: skip
    with pytest.raises(UsageError, match="part 'layers 40-50'"):
        edit(request)
    with pytest.raises(UsageError, match="part 'layers 40-50'"):
        plan(request)
    assert not list(tmp_path.iterdir())


def test_a_ranking_without_the_part_is_refused(ranking, tmp_path):
    with pytest.raises(UsageError, match="part 'nothing'"):
        verbs.select(ranking, replace(WHOLE, part=spin_hub.Part("nothing")), Destination(tmp_path / "out"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("field", ["part", "layers"])
def test_a_record_whose_part_is_no_text_is_refused(edited, sharded, tmp_path, field):
    record = json.loads((edited / "spin.json").read_text())
    record["recipe"]["method"][field] = 7
    path = tmp_path / "spin.json"
    path.write_text(json.dumps(record))
    with pytest.raises(spin_hub.SpinHubError, match=field):
        read_record(path)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("part", "x\n```\n# INJECTED"),
        ("part", "a`b"),
        ("part", ""),
        ("part", "a b"),
        ("layers", "foo"),
        ("layers", "9-1"),
    ],
)
def test_a_part_that_no_command_would_take_is_refused_in_a_file(edited, tmp_path, field, text):
    record = json.loads((edited / "spin.json").read_text())
    record["recipe"]["method"][field] = text
    path = tmp_path / "spin.json"
    path.write_text(json.dumps(record))
    with pytest.raises(CorruptFile):
        read_record(path)


def test_a_part_that_begins_with_a_dash_stays_a_value(edited):
    record = read_record(edited / "spin.json")
    odd = replace(record, method={**record.method, "part": "--yes"})
    assert "--part=--yes" in edit_command(odd)


def test_a_strange_expression_stays_within_the_block_of_code(edited):
    record = read_record(edited / "spin.json")
    method = {"expression": "a\n```\n# INJECTED", "ratios": {}}
    assert len(edit_command(replace(record, method=method)).splitlines()) == 1
    assert "`" not in edit_command(replace(record, method=method))


def test_an_empty_selection_of_a_part_names_a_q_that_serves_there(ranking, tmp_path):
    part = spin_hub.Part("*.up_proj.weight", "1")
    for q in (6e-4, 1e-3, 2e-3):
        recipe = SelectionRecipe(p=9e-2, q=q, part=part)
        with pytest.raises(EmptySelection) as caught:
            verbs.select(ranking, recipe, Destination(tmp_path / "out"))
        smallest = float(re.search(r"smallest useful q for this model is ([\d.]+)", str(caught.value))[1].rstrip("."))
        assert verbs.select(ranking, replace(recipe, q=smallest * 1.001), Destination(tmp_path / f"{q}")).output


@pytest.mark.parametrize("scored", [False, True])
def test_a_sweep_with_a_part_without_a_matrix_is_refused_before_the_model_is_loaded(sharded, ranking, tmp_path,
                                                                                   monkeypatch, scored):  # fmt: skip
    monkeypatch.setattr("spin_hub.workflows.sweep.load_running", None)
    monkeypatch.setattr("spin_hub.workflows.sweep.score_prepared", None)
    model, base = (str(ranking), str(sharded)) if scored else (str(sharded), None)
    request = SweepRequest(model, base, scoring=SCORING, ps=(1e-2,), qs=(1e-1,), layers=("0", "99"), keep=1e-1,
                           destination=Destination(tmp_path / "sweep"))  # fmt: skip
    with pytest.raises(UsageError, match="part 'layers 99'"):
        sweep(request)
    assert not list(tmp_path.iterdir())
