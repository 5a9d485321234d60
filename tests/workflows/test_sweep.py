"""Many edits of one model, tried out in memory: what is measured, what is kept, what is picked."""

import json
import shutil
from dataclasses import replace

import pytest
import verbs
from PIL import Image

from spin_hub.artifacts.delta_file import read_delta
from spin_hub.artifacts.ranking_file import read_ranking
from spin_hub.errors import (
    NothingGained,
    RankingMismatch,
    RatioBeyondRanking,
    SpinHubError,
    UnknownSet,
    UsageError,
)
from spin_hub.recipe import Destination, Limits, ScoringRecipe, SelectionRecipe
from spin_hub.search import choose as picking
from spin_hub.search import study
from spin_hub.workflows.edit import EditRequest, edit
from spin_hub.workflows.sweep import SweepRequest, sweep

pytestmark = [pytest.mark.moderate, pytest.mark.usefixtures("few_texts")]

SCORING = ScoringRecipe(samples=2)
WIDE = Limits(max_kl=1e3, max_perplexity_ratio=1e3)
RATIOS = {"ps": (1e-2, 5e-2), "qs": (2e-2, 5e-2, 1e-1, 2e-1)}


@pytest.fixture(scope="module")
def ranking(sharded, tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "ranking.safetensors"
    return verbs.score(str(sharded), SCORING, Destination(path), 2e-1).output


@pytest.fixture
def request_of(ranking, sharded, tmp_path):
    usual = SweepRequest(str(ranking), str(sharded), **RATIOS, limits=WIDE, destination=Destination(tmp_path / "sweep"))
    return lambda **changes: replace(usual, **changes)


@pytest.fixture(scope="module")
def swept(ranking, sharded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept") / "sweep"
    request = SweepRequest(str(ranking), str(sharded), **RATIOS, limits=WIDE, destination=Destination(folder))
    return request, sweep(request)


def test_every_pair_of_ratios_is_a_row_and_what_cannot_differ_is_measured_once(swept, ranking):
    request, outcome = swept
    rows = outcome.to_json()["rows"]
    assert [(row["ratios"]["general"], row["ratios"]["fairness"]) for row in rows] == [
        (p, q) for q in request.qs for p in request.ps
    ]
    content = read_ranking(ranking).ranking
    for row in rows:
        p, q = row["ratios"]["general"], row["ratios"]["fairness"]
        expected = (content.top("fairness", q) & content.top("privacy", q)) - content.top("general", p)
        assert row["weights"] == expected.weights
        assert (row["why"] is None) == ("kl" in row)
    assert any(row["why"] is None for row in rows)


def test_a_row_says_what_the_same_edit_costs_when_it_is_measured_alone(swept, sharded, tmp_path, ranking):
    _, outcome = swept
    row = next(row for row in outcome.to_json()["rows"] if row["why"] is None)
    alone = sweep(
        SweepRequest(
            str(ranking), str(sharded), ps=(row["ratios"]["general"],), qs=(row["ratios"]["fairness"],),
            destination=Destination(tmp_path / "alone"),
        )
    ).to_json()["rows"][0]  # fmt: skip
    for name in ("kl", "perplexity_ratio"):
        assert alone[name] == pytest.approx(row[name], rel=1e-5)
    assert alone["gain"] == pytest.approx(row["gain"], rel=1e-4, abs=1e-7)


def test_the_folder_holds_a_study_and_a_plot(swept):
    _, outcome = swept
    entry = json.loads((outcome.output / "study.json").read_text())
    assert entry["format"] == 2
    assert len(entry["rows"]) == 8
    assert {"model", "scoring", "texts", "precision", "torch"} <= entry["made_from"].keys()
    with Image.open(outcome.output / "sweep.png") as image:
        assert image.width > 900


def test_a_finished_sweep_measures_nothing_again(swept, monkeypatch):
    request, outcome = swept

    def never(*_):
        raise AssertionError("something was measured again")

    monkeypatch.setattr(study, "try_out", never)
    again = sweep(request)
    assert again.to_json() == outcome.to_json()
    fewer = sweep(replace(request, qs=request.qs[:1]))
    assert fewer.to_json()["rows"] == outcome.to_json()["rows"][:2]


def test_a_sweep_that_was_broken_off_goes_on(swept, request_of, monkeypatch):
    _, outcome = swept
    real, calls = study.try_out, []

    def breaking(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(study, "_TOGETHER", 2)
    monkeypatch.setattr(study, "try_out", breaking)
    with pytest.raises(KeyboardInterrupt):
        sweep(request_of())
    kept = json.loads((request_of().destination.path / "study.json").read_text())["rows"]
    assert 0 < sum(row["trial"] is not None for row in kept) <= 2
    found = sweep(request_of()).to_json()
    for mine, theirs in zip(found["rows"], outcome.to_json()["rows"], strict=True):
        assert mine["weights"] == theirs["weights"]
        assert mine.get("kl") == pytest.approx(theirs.get("kl"), rel=1e-5)


def test_the_delta_of_a_row_is_the_one_that_select_writes(swept, ranking, tmp_path):
    request, outcome = swept
    place = outcome.study.measured[0]
    picked = sweep(replace(request, pick=str(place + 1)))
    ratios = outcome.to_json()["rows"][place]["ratios"]
    recipe = SelectionRecipe(p=ratios["general"], q=ratios["fairness"])
    selected = verbs.select(ranking, recipe, Destination(tmp_path / "selected"))
    mine, theirs = (read_delta(folder / "spin_delta.safetensors") for folder in (picked.delta.output, selected.output))
    assert mine.selection == theirs.selection
    assert mine.method == theirs.method
    assert picked.delta.record.evaluation is not None
    assert picked.picked.why.startswith("Of ")
    texts = {name: picked.study.made_from[name] for name in ("texts",)}
    assert texts["texts"] not in json.dumps(picked.delta.record.to_json())


def test_best_and_knee_are_rows_of_the_front(swept):
    _, outcome = swept
    data = outcome.to_json()
    assert data["front"]
    assert data["knee"] in data["front"]
    if data["best"] is not None:
        assert data["best"] in data["front"]
    nothing = Limits(max_kl=1e-12)
    assert picking.best_of(outcome.study, nothing) is None
    with pytest.raises(NothingGained, match="cost more than the limits"):
        picking.place_of(outcome.study, "best", nothing)


def test_parts_and_rules_are_tried_by_themselves(request_of):
    found = sweep(request_of(ps=(5e-2,), qs=(5e-2,), rules=("paper", "random"), layers=("0-1", "2-3"))).to_json()[
        "rows"
    ]
    assert [(row["rule"], row["part"]) for row in found] == [
        ("paper", "layers 0-1"), ("random", "layers 0-1"), ("paper", "layers 2-3"), ("random", "layers 2-3"),
    ]  # fmt: skip
    assert found[0]["weights"] == found[1]["weights"]


def test_a_model_is_scored_once_and_its_ranking_kept(sharded, tmp_path):
    request = SweepRequest(str(sharded), scoring=SCORING, ps=(5e-2,), qs=(5e-2,), keep=1e-1,
                           destination=Destination(tmp_path / "sweep"))  # fmt: skip
    first = sweep(request)
    ranking = tmp_path / "sweep" / "spin_ranking.safetensors"
    before = ranking.stat().st_mtime_ns
    again = sweep(replace(request, qs=(5e-2, 1e-1)))
    assert ranking.stat().st_mtime_ns == before
    assert again.to_json()["rows"][0] == first.to_json()["rows"][0]
    assert len(again.study.rows) == 2


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"base": None}, UsageError, "--base"),
        ({"qs": ()}, UsageError, "both"),
        ({"qs": (3e-1,)}, RatioBeyondRanking, "keep"),
        ({"rules": ("published",), "ps": (1e-2,), "qs": (5e-2,)}, UsageError, "p = q"),
        ({"pick": "0"}, UsageError, "row from 1 to 8"),
        ({"pick": "nine"}, UsageError, "row from 1 to 8"),
        ({"layers": ("x",)}, UsageError, "Layers"),
        ({"expression": "fairness & law"}, UnknownSet, "law"),
        ({"rules": ("published",), "ps": (5e-2,), "qs": (5e-2,)}, RankingMismatch, "--tokenization published"),
    ],
)
def test_bad_requests(request_of, changes, error, said):
    with pytest.raises(error, match=said):
        sweep(request_of(**changes))
    assert not (request_of().destination.path / "delta").exists()


def test_a_model_that_was_not_scored_is_refused(request_of, tiny):
    with pytest.raises(RankingMismatch, match="is not the file that was scored"):
        sweep(request_of(base=str(tiny)))


def test_a_study_of_another_ranking_is_refused_and_stays(request_of, swept, sharded, tmp_path):
    request, outcome = swept
    other = verbs.score(str(sharded), ScoringRecipe(samples=3), Destination(tmp_path / "other"), 2e-1).output
    before = (outcome.output / "study.json").read_bytes()
    with pytest.raises(SpinHubError, match="scoring"):
        sweep(replace(request, model=str(other)))
    assert (outcome.output / "study.json").read_bytes() == before


@pytest.mark.parametrize("changes", [{"qs": ()}, {"ps": (1e-1,)}, {"pick": "9"}, {"expression": "fairness & law"}])
def test_a_bad_request_is_refused_before_the_model_is_scored(sharded, tmp_path, monkeypatch, changes):
    monkeypatch.setattr("spin_hub.workflows.sweep.score_prepared", None)
    request = SweepRequest(str(sharded), **RATIOS, keep=5e-2, destination=Destination(tmp_path / "sweep"))
    with pytest.raises(SpinHubError):
        sweep(replace(request, **changes))
    assert not (tmp_path / "sweep").exists()


@pytest.fixture
def found(monkeypatch):
    """Has the control of a search seem to do as much as the edit, or nothing at all."""

    def control(does: bool) -> None:
        real = study.Subject.try_out

        def measured(self, states, reporter, title):
            result = real(self, states, reporter, title)
            trial = result["control"]
            shift = 0.0 if does else -1.0
            margins = {axis: tuple(value + shift for value in values) for axis, values in trial.margins.items()}
            return {**result, "control": replace(trial, margins=margins)}

        monkeypatch.setattr(study.Subject, "try_out", measured)

    return control


def searching(model, folder, **changes):
    return EditRequest(str(model), SCORING, search=True, limits=WIDE, destination=Destination(folder), **changes)


def test_an_edit_without_ratios_finds_them_and_says_how(sharded, tmp_path, found):
    found(does=False)
    outcome = edit(searching(sharded, tmp_path / "out"))
    search, method = outcome.record.search, outcome.record.method
    row = search["tried"][search["picked"] - 1]
    assert (row["ratios"]["general"], row["ratios"]["fairness"]) == (method["p"], method["q"])
    assert row["weights"] == outcome.record.result.weights > 0
    assert max(other["gain"]["value"] for other in search["tried"] if other["why"] is None) == row["gain"]["value"]
    assert "more than as many random weights" in search["why"]
    assert search["why"] in " ".join((tmp_path / "out" / "README.md").read_text().split())
    assert not (tmp_path / "out.partial").exists()


def test_an_edit_that_does_no_more_than_chance_is_not_made_unless_asked_for(sharded, tmp_path, found):
    found(does=True)
    real = picking.Picked.convinces
    assert isinstance(real, property)
    with pytest.raises(NothingGained, match="does not surely gain more"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(picking.Picked, "convinces", property(lambda self: False))
        edit(searching(sharded, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    # What the hint says works at once: with ratios of one's own, from the layers that are scored already.
    noted = shutil.copytree(tmp_path / "out.partial", tmp_path / "mine.partial")
    request = replace(searching(sharded, tmp_path / "mine"), search=False, selection=SelectionRecipe(p=5e-2, q=5e-2))
    assert edit(request).record.search is None
    assert not noted.exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picking.Picked, "convinces", property(lambda self: False))
        outcome = edit(searching(sharded, tmp_path / "out", anyway=True))
    assert outcome.record.search["picked"]


def test_a_model_that_cannot_be_measured_is_told_before_it_is_scored(sharded, tmp_path, monkeypatch):
    import spin_hub.scoring.score as workflow

    real = workflow.hold
    monkeypatch.setattr(workflow, "hold", lambda *arguments: replace(real(*arguments), weights="shards"))
    monkeypatch.setattr(workflow, "load_model", None)
    with pytest.raises(SpinHubError, match="do not fit into memory"):
        edit(searching(sharded, tmp_path / "out"))


def test_nothing_can_be_found_without_measuring(sharded):
    with pytest.raises(UsageError, match="--no-eval"):
        EditRequest(str(sharded), search=True, limits=None)
