"""eval: base, edit and control side by side, from a base with a delta or from the edited model alone."""

import json
import shutil

import models
import pytest
import torch

import spin_hub
from spin_hub.errors import (
    DeltaMismatch,
    GuardUnusable,
    HubUnreachable,
    NoChatTemplate,
    SpinHubError,
    TasksUnusable,
    TextError,
    UsageError,
)
from spin_hub.evidence import METRICS
from spin_hub.metrics.base import suites
from spin_hub.metrics.request import EvalRequest
from spin_hub.metrics.wikitext import window_of
from spin_hub.models import device
from spin_hub.models.device import Placement
from spin_hub.recipe import Destination, Limits, ScoringRecipe, SelectionRecipe
from spin_hub.workflows.edit import EditRequest, edit
from spin_hub.workflows.evaluate import evaluate

pytestmark = [pytest.mark.moderate, pytest.mark.usefixtures("few_texts")]

ASKING = {"suite": "answers", "limit": 4, "new_tokens": 4}


@pytest.fixture(scope="module")
def edited(sharded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("edited") / "out"
    recipe = SelectionRecipe(p=5e-2, q=1e-1)
    edit(EditRequest(str(sharded), ScoringRecipe(samples=2), recipe, limits=Limits(), destination=Destination(folder)))
    return folder


@pytest.fixture
def own(edited, tmp_path):
    return shutil.copytree(edited, tmp_path / "own")


def figures(evaluation):
    return {
        (metric["name"], metric["axis"], state): value["value"]
        for metric in evaluation["metrics"]
        for state, value in metric["values"].items()
    }


def test_an_edited_model_is_measured_as_its_base_with_the_delta_is(edited, sharded):
    mine = evaluate(EvalRequest(str(edited), record=False)).evaluation
    theirs = evaluate(EvalRequest(str(sharded), delta=str(edited), record=False)).evaluation
    assert mine["states"] == ["base", "edited", "control"]
    assert figures(mine) == pytest.approx(figures(theirs), rel=1e-6, abs=1e-9)
    recorded = json.loads((edited / "spin" / "spin.json").read_text())["evaluation"]
    same = {key: value for key, value in figures(recorded).items() if key[2] != "control"}
    assert {key: figures(mine)[key] for key in same} == pytest.approx(same, rel=1e-4, abs=1e-8)


def test_a_model_without_an_edit_has_one_state(sharded):
    outcome = evaluate(EvalRequest(str(sharded), **ASKING))
    assert outcome.evaluation["states"] == ["base"]
    assert outcome.folder is None
    names = [(metric["name"], metric["axis"]) for metric in outcome.evaluation["metrics"]]
    assert names == [(name, entry.axis) for name in suites()["answers"] for entry in METRICS[name].sets]


def test_answers_are_judged_paired_and_written_into_record_and_card(own, tmp_path):
    answers = tmp_path / "answers.jsonl"
    outcome = evaluate(EvalRequest(str(own), **ASKING, answers=answers))
    assert outcome.folder == own
    record = json.loads((own / "spin" / "spin.json").read_text())
    about = record["evaluation"]["about"]["answers"]
    assert about["judge"] == "lexical"
    assert set(about["questions"].values()) == {4}
    for states in about["paired"].values():
        assert states.keys() == {"edited", "control"}
        assert all(
            sum(change[name] for name in ("gained", "lost", "both", "neither")) == 4 for change in states.values()
        )
    names = {metric["name"] for metric in record["evaluation"]["metrics"]}
    assert names == {*suites()["quick"], *suites()["answers"]}
    card = (own / "README.md").read_text()
    assert "counts phrases and judges no meaning" in card
    assert "Aware answers, fairness" in card and "KL to the base" in card
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    assert len(rows) == 4 * 4 * 3
    assert rows[0].keys() == {"set", "state", "question", "answer"}
    assert not any(row["answer"] and row["answer"] in card for row in rows if len(row["answer"]) > 12)
    again = evaluate(EvalRequest(str(own), suite="quick"))
    assert "answers" in json.loads((own / "spin" / "spin.json").read_text())["evaluation"]["about"]
    assert again.folder == own
    # What is known of the edit stays what undoes it.
    assert spin_hub.revert(str(own), output=tmp_path / "back").weights > 0


def test_measuring_again_changes_no_byte(own):
    evaluate(EvalRequest(str(own)))
    before = (own / "README.md").read_bytes(), (own / "spin" / "spin.json").read_bytes()
    evaluate(EvalRequest(str(own)))
    assert ((own / "README.md").read_bytes(), (own / "spin" / "spin.json").read_bytes()) == before


def test_without_recording_nothing_is_written(own):
    before = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}
    assert evaluate(EvalRequest(str(own), record=False)).folder is None
    assert {path: path.read_bytes() for path in own.rglob("*") if path.is_file()} == before


def test_questions_of_ones_own(own, tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"question": "Who cooks?"}\n{"question": "Who leads?"}\n')
    mine = {"fairness": str(tmp_path / "mine.jsonl")}
    request = EvalRequest(str(own), suite="awareness", questions=mine, new_tokens=2, limit=3, record=False)
    about = evaluate(request).evaluation["about"]["answers"]
    assert about["questions"] == {"awareness, fairness": 2, "awareness, privacy": 3}


def test_a_guard_model_judges_and_one_that_does_not_is_an_error(own, tmp_path, monkeypatch):
    guard = models.save_checkpoint(tmp_path / "guard")
    request = EvalRequest(str(own), suite="safety", judge=f"md-judge={guard}", limit=5, new_tokens=2, record=False)
    with pytest.raises(SpinHubError, match="md-judge"):
        evaluate(request)
    monkeypatch.setattr(device, "free_memory", lambda _: 1000)
    with pytest.raises(GuardUnusable, match="are free"):
        evaluate(request)


@pytest.mark.parametrize(
    "options",
    [
        {"suite": "everything"},
        {"suite": "quick,nothing"},
        {"judge": "gpt"},
        {"limit": 0},
        {"new_tokens": 0},
        {"questions": {"kindness": "x"}},
    ],
)
def test_bad_requests(options):
    with pytest.raises(UsageError):
        EvalRequest("model", **options)


def test_a_delta_of_another_model_is_refused(edited, tmp_path):
    other = models.save_checkpoint(tmp_path / "other", models.tiny_config(intermediate_size=48))
    with pytest.raises(DeltaMismatch):
        evaluate(EvalRequest(str(other), delta=str(edited)))


def test_a_chat_template_that_is_missing_is_said(sharded, tmp_path):
    model = shutil.copytree(sharded, tmp_path / "plain")
    models.byte_tokenizer(None).save_pretrained(model)
    (model / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(NoChatTemplate):
        evaluate(EvalRequest(str(model), **ASKING, chat_template=True))


def test_coupling_and_windows_go_into_record_card_and_plots(own, tmp_path):
    (tmp_path / "text.txt").write_text("A small text, said again and again. " * 40)
    request = EvalRequest(str(own), suite="coupling,wikitext", text=str(tmp_path / "text.txt"), window=100, limit=6)
    found = evaluate(request).evaluation
    assert [(metric["name"], metric["axis"]) for metric in found["metrics"]] == [("coupling", None), ("wikitext", None)]
    assert found["about"]["wikitext"] == {"text": "text.txt", "window": 100, "windows": 6}
    assert found["about"]["coupling"]["questions"] == 6
    assert {len(entry["value"]) for entry in found["about"]["coupling"]["layers"].values()} == {4}
    card = (own / "README.md").read_text()
    assert "6 windows of 100 tokens of text.txt" in card
    assert "normalised HSIC between the representations of 6 fairness" in card
    assert str(tmp_path) not in card + (own / "spin" / "spin.json").read_text()
    from spin_hub.workflows.inspect import inspect
    from spin_hub.workflows.plots import draw

    assert {path.name for path in draw(inspect(str(own)), tmp_path / "plots")} >= {"coupling.png", "evidence.png"}


def test_the_edited_model_beside_its_base_is_as_the_base_restored(own, sharded):
    alone = evaluate(EvalRequest(str(own), record=False)).evaluation
    beside = evaluate(EvalRequest(str(own), against=str(sharded), record=False)).evaluation
    assert beside["states"] == alone["states"]
    assert beside["about"]["against"] == sharded.name
    assert figures(beside) == pytest.approx(figures(alone), rel=1e-6, abs=1e-9)


def test_any_model_of_the_same_tokenizer_beside_another(sharded, tmp_path):
    other = models.save_checkpoint(tmp_path / "other", models.tiny_config(tie_word_embeddings=True), seed=1)
    found = evaluate(EvalRequest(str(other), against=str(sharded), dtype="float32")).evaluation
    assert found["states"] == ["base", "edited"]
    assert figures(found)["kl", None, "edited"] > 1e-4


def test_with_a_delta_beside_a_base_the_delta_is_switched_on_in_the_model(edited, sharded):
    with_it = evaluate(EvalRequest(str(sharded), delta=str(edited), record=False)).evaluation
    copy = EvalRequest(str(_copied(sharded)), delta=str(edited), against=str(sharded), record=False)
    assert figures(evaluate(copy).evaluation) == pytest.approx(figures(with_it), rel=1e-6, abs=1e-9)


def _copied(folder):
    from pathlib import Path

    return shutil.copytree(folder, Path("copied"))


def test_what_cannot_stand_side_by_side_is_refused(own, sharded, tmp_path):
    other = models.save_checkpoint(tmp_path / "other", models.tiny_config(tie_word_embeddings=True), seed=1)
    with pytest.raises(DeltaMismatch, match="values that the edit's base had"):
        evaluate(EvalRequest(str(own), against=str(other)))
    with pytest.raises(UsageError, match="the model itself"):
        evaluate(EvalRequest(str(sharded), against=str(sharded)))
    tokenizer = models.byte_tokenizer()
    tokenizer.add_tokens(["<more>"])
    tokenizer.save_pretrained(other)
    with pytest.raises(SpinHubError, match="other tokens"):
        evaluate(EvalRequest(str(other), against=str(sharded)))


def test_what_is_asked_for_is_refused_before_a_model_is_loaded(own, tmp_path, monkeypatch):
    monkeypatch.setattr("spin_hub.workflows.evaluate.load_running", lambda *_: pytest.fail("a model was loaded"))
    (tmp_path / "short.txt").write_text("too short")
    with pytest.raises(TextError, match="do not fill a window"):
        evaluate(EvalRequest(str(own), suite="wikitext", text=str(tmp_path / "short.txt")))
    with pytest.raises(TasksUnusable, match="not a folder"):
        evaluate(EvalRequest(str(own), suite="capability", task_dir=tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="--window"):
        EvalRequest(str(own), suite="wikitext", window=1)
    with pytest.raises(HubUnreachable):
        evaluate(EvalRequest(str(own), suite="paper", judge="lexical", task_dir=tmp_path, tasks=()))


def test_the_suite_of_the_paper_has_its_judge_and_questions(own):
    request = EvalRequest(str(own), suite="paper", questions={"privacy": "mine.csv"})
    assert request.judged_by == "md-judge"
    assert request.sets == {"fairness": "salad:fairness", "privacy": "mine.csv"}
    assert EvalRequest(str(own), suite="paper", judge="lexical").judged_by == "lexical"


@pytest.mark.parametrize(
    ("config", "most", "expected"),
    [
        ({"max_position_embeddings": 4096, "vocab_size": 10}, None, 4096),
        ({"max_position_embeddings": 4096, "vocab_size": 10}, 512, 512),
        ({"text_config": {"max_position_embeddings": 64}, "vocab_size": 10}, 512, 64),
        ({"n_positions": 1024, "vocab_size": 10}, None, 1024),
        ({"max_position_embeddings": "x", "vocab_size": []}, None, 2048),
        ({"max_position_embeddings": 131072, "vocab_size": 1000}, None, 2**30 // 4 // 16000),
    ],
)
def test_a_window_is_what_the_model_and_the_memory_hold(monkeypatch, config, most, expected):
    monkeypatch.setattr(device, "free_memory", lambda _: 2**30)
    assert window_of(config, Placement(torch.device("cpu"), torch.float32), most) == expected
