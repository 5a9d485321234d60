"""Whatever may take long happens within a task, so that the command line writes a line at least every half minute."""

import functools
import pydoc
from contextlib import contextmanager

import pytest

from spin_hub.artifacts import publish
from spin_hub.artifacts.base_model import open_base
from spin_hub.artifacts.open import open_delta
from spin_hub.artifacts.publish import Publication, PushOptions
from spin_hub.cli import app as cli
from spin_hub.errors import TasksUnusable
from spin_hub.hub.commit import Pushed
from spin_hub.metrics.answers import Answers, AnswerSettings, Asked
from spin_hub.metrics.judging import LexicalJudge
from spin_hub.metrics.request import EvalRequest
from spin_hub.progress import step
from spin_hub.workflows.evaluate import evaluate

pytestmark = [pytest.mark.moderate, pytest.mark.usefixtures("few_texts")]

RATIOS = ("--p", "1e-2", "--q", "1e-1")
EDIT = (*RATIOS, "--samples", "2")
W = "spin_hub"


class Tasks:
    """A reporter that knows the task under way, and keeps what every task counted."""

    def __init__(self):
        self.title = None
        self.counted = {}

    @contextmanager
    def task(self, title, total, unit):
        assert self.title is None, f"{title} within {self.title}: a terminal shows one task at a time"
        done = []
        self.title = title
        try:
            yield done.append
        finally:
            self.title = None
        self.counted[title] = (sum(done), total, unit)

    def note(self, text):
        pass

    status = note


@pytest.fixture
def tasks(monkeypatch):
    """The reporter of every command in this process."""
    tasks = Tasks()
    monkeypatch.setattr("spin_hub.cli.console.Screen.reporter", tasks)
    return tasks


@pytest.fixture
def watch(tasks, monkeypatch):
    """Runs a command, and holds which task was under way whenever some functions of the workflows were called."""

    def run(command, expected):
        seen = {name: set() for name in expected}

        def watched(name, function):
            @functools.wraps(function)
            def call(*arguments, **options):
                seen[name].add(tasks.title)
                return function(*arguments, **options)

            return call

        with monkeypatch.context() as patch:
            for name in expected:
                patch.setattr(f"{W}.{name}", watched(name, pydoc.locate(f"{W}.{name}")))
            assert cli.run([str(argument) for argument in command]) == 0
        assert seen == {name: {titles} if isinstance(titles, str) else titles for name, titles in expected.items()}

    return run


@pytest.fixture(scope="module")
def made(tiny, few_texts, tmp_path_factory):
    """A folder with a ranking, an edited model and two deltas of one base."""
    folder = tmp_path_factory.mktemp("made")
    for command in (
        ("score", tiny, "--keep", "1e-1", "--samples", "2", "-o", folder / "ranking.safetensors"),
        ("select", folder / "ranking.safetensors", *RATIOS, "-o", folder / "delta"),
        ("select", folder / "ranking.safetensors", "--p", "5e-2", "--q", "1e-1", "-o", folder / "other"),
        ("apply", folder / "delta", tiny, "-o", folder / "model"),
    ):
        assert cli.run([*map(str, command), "--quiet"]) == 0
    return folder


def test_a_step_is_a_task_that_is_done_once(tasks):
    with step(tasks, "Waiting"):
        assert tasks.title == "Waiting"
    assert tasks.counted == {"Waiting": (1, 1, "step")}


def test_a_step_that_fails_ends_its_task(tasks):
    with pytest.raises(KeyError), step(tasks, "Failing"):
        raise KeyError
    assert (tasks.title, tasks.counted) == (None, {})


def test_a_model_can_be_opened_without_a_reporter(tiny):
    assert open_base(str(tiny)).source.name == tiny.name


def test_edit(watch, tiny):
    watch(
        ("edit", tiny, *EDIT, "-o", "out"),
        {
            "artifacts.base_model.resolve_model": "Fetching the model",
            "artifacts.base_model.known_digests": "Hashing the base",
            "scoring.inputs.load_skeleton": "Reading the model's architecture",
            "scoring.inputs.read_sample": "Reading the calibration sets",
            "scoring.inputs.make_examples": "Reading the calibration sets",
            "scoring.resume.Partial.finished": "Reading the finished layers",
            "scoring.score._load": "Loading the model",
            "scoring.score.check_identity": "Comparing the weights with the checkpoint",
            "scoring.score.make_engine": "Checking the engine",
            "scoring.score.Scored.settle": "Widening the weights",
            "workflows.edit.delta_from": "Choosing the weights",
            "workflows.edit.texts_for": "Reading the texts",
            "metrics.likelihood.at_random": "Drawing a random control",
            "artifacts.write.copy_others": {"Writing the edited model", "Writing the delta"},
            "artifacts.write.write_delta": "Writing the delta",
            "artifacts.write.heat_map": "Writing the delta",
        },
    )


def test_edit_plan(watch, tiny):
    watch(
        ("edit", tiny, *EDIT, "--as", "lora", "--plan"),
        {
            "artifacts.base_model.resolve_model": "Fetching the model",
            "scoring.inputs.read_sample": "Reading the calibration sets",
            "exports.peft_adapter.made_from": "Checking the adapter",
        },
    )


def test_edit_to_an_adapter(watch, tiny):
    watch(
        ("edit", tiny, *EDIT, "--as", "lora", "--yes", "--no-eval", "-o", "out"),
        {
            "exports.peft_adapter.made_from": {"Checking the adapter", "Making the adapter"},
            "exports.lora_error._check_same": "Comparing the weights with the checkpoint",
            "exports.base.write_export_folder": "Writing the adapter",
        },
    )


def test_score_and_its_examples(watch, tiny):
    watch(
        ("score", tiny, "--samples", "2", "--keep", "1e-2", "--show-examples", "1", "-o", "ranking.safetensors"),
        {
            "artifacts.base_model.resolve_model": "Fetching the model",
            "scoring.inputs.read_sample": "Reading the calibration sets",
            "scoring.score.write_ranking": "Writing the ranking",
            "workflows.inspect.read_ranking": "Reading the ranking",
        },
    )


def test_sweep(watch, tiny):
    watch(
        ("sweep", tiny, *EDIT, "--keep", "1e-1", "--pick", "1", "-o", "out"),
        {
            "artifacts.base_model.resolve_model": "Fetching the model",
            "scoring.score.write_ranking": "Writing the ranking",
            "workflows.sweep.read_ranking": "Reading the ranking",
            "scoring.score.Scored.settle": "Widening the weights",
            "workflows.sweep.texts_for": "Reading the texts",
            "search.study.choose": "Choosing the weights of every edit",
            "workflows.sweep.pareto_plot": "Drawing",
            "search.choose.at_random": "Drawing a random control",
            "workflows.sweep.delta_from": "Choosing the weights",
            "artifacts.write.write_delta": "Writing the delta",
        },
    )


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            ("select", "ranking.safetensors", *RATIOS, "--rule", "random", "--base", "model", "-o", "random"),
            {
                "workflows.select.read_ranking": "Reading the ranking",
                "artifacts.base_model.resolve_model": "Fetching the model",
                "workflows.select.delta_from": "Choosing the weights",
            },
        ),
        (
            ("combine", "delta", "other", "--how", "or", "-o", "both"),
            {
                "artifacts.open.resolve_delta": "Fetching the delta",
                "artifacts.open.read_delta": "Fetching the delta",
                "workflows.combine.combined": "Combining the deltas",
                "workflows.combine.sha256": "Combining the deltas",
                "artifacts.write.write_delta": "Writing the delta",
            },
        ),
        (
            ("diff", "delta", "other"),
            {"artifacts.open.resolve_delta": "Fetching the delta", "workflows.diff.overlaps": "Comparing the deltas"},
        ),
        (
            ("inspect", "delta"),
            {"workflows.inspect.resolve_delta": "Fetching the delta", "artifacts.open.read_delta": "Reading the delta"},
        ),
        (
            ("revert", "model", "-o", "back"),
            {
                "workflows.revert.resolve_edited": "Fetching the edited model",
                "workflows.revert.state_of": "Checking the touched weights",
                "workflows.revert.write_patched_copy": "Putting the weights back",
                "workflows.revert.digests": "Proving every file",
            },
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_commands_without_a_base(watch, made, command, expected):
    watch([made / part if (made / part).exists() else part for part in command], expected)


def test_apply(watch, made, tiny):
    watch(
        ("apply", made / "delta", tiny, "-o", "out"),
        {
            "artifacts.open.resolve_delta": "Fetching the delta",
            "artifacts.base_model.resolve_model": "Fetching the model",
            "workflows.apply.fit_of": "Comparing the delta with the model",
            "artifacts.base_model.known_digests": "Hashing the base",
        },
    )


def test_export(watch, made, tiny):
    watch(
        ("export", made / "delta", "--as", "peft", "--base", tiny, "-o", "out"),
        {
            "artifacts.open.resolve_delta": "Fetching the delta",
            "artifacts.base_model.resolve_model": "Fetching the model",
            "workflows.export.state_of": "Comparing the base with the delta",
            "exports.peft_adapter.made_from": "Making the adapter",
            "exports.base.write_export_folder": "Writing the adapter",
        },
    )


def test_reproduce(watch, made, tiny):
    watch(
        ("reproduce", made / "delta", "--base", tiny),
        {
            "artifacts.open.resolve_delta": "Fetching the delta",
            "artifacts.base_model.resolve_model": "Fetching the model",
            "workflows.reproduce.delta_from": "Choosing the weights",
            "workflows.reproduce._sha256": "Comparing the deltas",
        },
    )


def test_verify(watch, made, tiny):
    watch(
        ("verify", made / "model", "--base", tiny, "--delta", made / "delta"),
        {
            "verification.artifact.read_delta": "Fetching the edit",
            "verification.artifact.sha256": "Fetching the edit",
            "artifacts.open.resolve_delta": "Fetching the delta",
            "workflows.verify.weights_of": "Looking at the base",
            "workflows.verify.base_rows": "Comparing the files",
            "workflows.verify.file_rows": "Comparing the files",
            "workflows.verify._own": "Making the adapter again",
        },
    )


def test_eval(watch, made, tiny):
    suite = ("--suite", "likelihood,awareness,coupling", "--limit", "4", "--new-tokens", "2", "--no-record")
    watch(
        ("eval", tiny, "--delta", made / "delta", *suite),
        {
            "artifacts.open.resolve_delta": "Fetching the delta",
            "artifacts.base_model.resolve_model": "Fetching the model",
            "metrics.states.fit_of": {"Comparing the edit with the model", "Loading the model"},
            "metrics.likelihood.texts_for": "Reading the questions",
            "data.questions.read_questions": "Reading the questions",
            "workflows.evaluate.load_running": "Loading the model",
            "metrics.answers.collect_answers": "Asking",
            "metrics.answers.judged": "Judging",
            "metrics.coupling.coupling": "Coupling",
        },
    )


def test_the_tasks_of_lm_eval_are_found_in_a_step(tiny, tasks, monkeypatch):
    def find(_):
        raise TasksUnusable(why=tasks.title)

    monkeypatch.setattr(f"{W}.metrics.capability.open_tasks", find)
    with pytest.raises(TasksUnusable, match="Finding the tasks"):
        evaluate(EvalRequest(str(tiny), suite="capability"), tasks)


def test_a_push_and_its_tag(made, tasks, monkeypatch):
    titles = []

    def push(target, changes, _):
        titles.append(tasks.title)
        return Pushed(target.repo_id, "0" * 40, "url", None, 0, changed=True)

    monkeypatch.setattr(publish, "push", push)
    monkeypatch.setattr(publish, "set_tag", lambda *_: titles.append(tasks.title))
    _, record = open_delta(made / "delta")
    publication = Publication(PushOptions(tag="v1"), "alice/delta", None, None, None)
    publish.publish(publication, made / "delta", record, tasks)
    assert titles == ["Pushing", "Tagging the commit"]


def test_judging_counts_the_answers_that_a_judge_reads(tasks):
    asked = [Asked("awareness", "privacy", ["a", "b", "c"]), Asked("over_refusal", None, ["d"])]
    texts = {entry.label: {state: ["No."] * len(entry.questions) for state in ("base", "edited")} for entry in asked}
    answers = Answers(asked, AnswerSettings(None), "lexical", "cpu", None)
    found = answers.of(texts, tasks)
    assert tasks.counted["Judging"] == (6, 6, "answers")
    assert found.about["answers"]["judge"] == LexicalJudge().name
