"""Whatever may take long happens within a task, so that the command line writes a line at least every half minute."""

import functools
import pydoc
from contextlib import contextmanager

import pytest

from spin_hub.cli import app as cli
from spin_hub.errors.measuring import TasksUnusable
from spin_hub.evaluation.asking import Asked, Manner
from spin_hub.evaluation.judging import LexicalJudge
from spin_hub.hub.target import Pushed
from spin_hub.workflows import publish
from spin_hub.workflows.artefacts import open_delta
from spin_hub.workflows.base import open_base
from spin_hub.workflows.eval_request import EvalRequest
from spin_hub.workflows.evaluate import evaluate
from spin_hub.workflows.measures import Answers
from spin_hub.workflows.publish import Publication, PushOptions
from spin_hub.workflows.reporter import step

pytestmark = [pytest.mark.moderate, pytest.mark.usefixtures("few_texts")]

RATIOS = ("--p", "1e-2", "--q", "1e-1")
EDIT = (*RATIOS, "--samples", "2")
W = "spin_hub.workflows"


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
            "base.resolve_model": "Fetching the model",
            "base.known_digests": "Hashing the base",
            "prepare.load_skeleton": "Reading the model's architecture",
            "prepare.read_sample": "Reading the calibration sets",
            "prepare.make_examples": "Reading the calibration sets",
            "partial.Partial.finished": "Reading the finished layers",
            "score._load": "Loading the model",
            "score.check_identity": "Comparing the weights with the checkpoint",
            "score.make_engine": "Checking the engine",
            "score.Scored.settle": "Widening the weights",
            "edit.delta_from": "Choosing the weights",
            "evidence.texts_for": "Reading the texts",
            "evidence.at_random": "Drawing a random control",
            "outcome.copy_others": {"Writing the edited model", "Writing the delta"},
            "outcome.write_delta": "Writing the delta",
            "outcome.heat_map": "Writing the delta",
        },
    )


def test_edit_plan(watch, tiny):
    watch(
        ("edit", tiny, *EDIT, "--as", "lora", "--plan"),
        {
            "base.resolve_model": "Fetching the model",
            "prepare.read_sample": "Reading the calibration sets",
            "plan.check_adapter": "Checking the adapter",
        },
    )


def test_edit_to_an_adapter(watch, tiny):
    watch(
        ("edit", tiny, *EDIT, "--as", "lora", "--yes", "--no-eval", "-o", "out"),
        {
            "edit.check_adapter": "Checking the adapter",
            "adapter.made_from": {"Checking the adapter", "Making the adapter"},
            "unmerged._check_same": "Comparing the weights with the checkpoint",
            "adapter.write_adapter_folder": "Writing the adapter",
        },
    )


def test_score_and_its_examples(watch, tiny):
    watch(
        ("score", tiny, "--samples", "2", "--show-examples", "1", "-o", "ranking.safetensors"),
        {
            "base.resolve_model": "Fetching the model",
            "prepare.read_sample": "Reading the calibration sets",
            "score.write_ranking": "Writing the ranking",
            "inspect.read_ranking": "Reading the ranking",
        },
    )


def test_sweep(watch, tiny):
    watch(
        ("sweep", tiny, *EDIT, "--keep", "1e-1", "--pick", "1", "-o", "out"),
        {
            "base.resolve_model": "Fetching the model",
            "sweep.write_ranking": "Writing the ranking",
            "sweep.read_ranking": "Reading the ranking",
            "score.Scored.settle": "Widening the weights",
            "sweep.texts_for": "Reading the texts",
            "study.choose": "Choosing the weights of every edit",
            "sweep.pareto_plot": "Drawing",
            "picking.at_random": "Drawing a random control",
            "sweep.delta_from": "Choosing the weights",
            "outcome.write_delta": "Writing the delta",
        },
    )


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            ("select", "ranking.safetensors", *RATIOS, "--rule", "random", "--base", "model", "-o", "random"),
            {
                "select.read_ranking": "Reading the ranking",
                "base.resolve_model": "Fetching the model",
                "select.delta_from": "Choosing the weights",
            },
        ),
        (
            ("combine", "delta", "other", "--how", "or", "-o", "both"),
            {
                "artefacts.resolve_delta": "Fetching the delta",
                "artefacts.read_delta": "Fetching the delta",
                "combine.combined": "Combining the deltas",
                "combine.sha256": "Combining the deltas",
                "outcome.write_delta": "Writing the delta",
            },
        ),
        (
            ("diff", "delta", "other"),
            {"artefacts.resolve_delta": "Fetching the delta", "diff.overlaps": "Comparing the deltas"},
        ),
        (
            ("inspect", "delta"),
            {"inspect.resolve_delta": "Fetching the delta", "artefacts.read_delta": "Reading the delta"},
        ),
        (
            ("revert", "model", "-o", "back"),
            {
                "revert.resolve_edited": "Fetching the edited model",
                "revert.state_of": "Checking the touched weights",
                "revert.write_patched_copy": "Putting the weights back",
                "revert.digests": "Proving every file",
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
            "artefacts.resolve_delta": "Fetching the delta",
            "base.resolve_model": "Fetching the model",
            "apply.fit_of": "Comparing the delta with the model",
            "base.known_digests": "Hashing the base",
        },
    )


def test_export(watch, made, tiny):
    watch(
        ("export", made / "delta", "--as", "peft", "--base", tiny, "-o", "out"),
        {
            "artefacts.resolve_delta": "Fetching the delta",
            "base.resolve_model": "Fetching the model",
            "adapter_base.state_of": "Comparing the base with the delta",
            "adapter.made_from": "Making the adapter",
            "adapter.write_adapter_folder": "Writing the adapter",
        },
    )


def test_reproduce(watch, made, tiny):
    watch(
        ("reproduce", made / "delta", "--base", tiny),
        {
            "artefacts.resolve_delta": "Fetching the delta",
            "base.resolve_model": "Fetching the model",
            "reproduce.delta_from": "Choosing the weights",
            "reproduce._sha256": "Comparing the deltas",
        },
    )


def test_verify(watch, made, tiny):
    watch(
        ("verify", made / "model", "--base", tiny, "--delta", made / "delta"),
        {
            "subject.read_delta": "Fetching the edit",
            "subject.sha256": "Fetching the edit",
            "artefacts.resolve_delta": "Fetching the delta",
            "verify.weights_of": "Looking at the base",
            "verify.base_rows": "Comparing the files",
            "verify.file_rows": "Comparing the files",
            "verify._adapter": "Making the adapter again",
        },
    )


def test_eval(watch, made, tiny):
    suite = ("--suite", "likelihood,awareness,coupling", "--limit", "4", "--new-tokens", "2", "--no-record")
    watch(
        ("eval", tiny, "--delta", made / "delta", *suite),
        {
            "artefacts.resolve_delta": "Fetching the delta",
            "base.resolve_model": "Fetching the model",
            "sides.fit_of": {"Comparing the edit with the model", "Loading the model"},
            "evaluate.texts_for": "Reading the questions",
            "measures.read_questions": "Reading the questions",
            "evaluate.load_running": "Loading the model",
            "measures.collect_answers": "Asking",
            "measures.judged": "Judging",
            "measures.coupling": "Coupling",
        },
    )


def test_the_tasks_of_lm_eval_are_found_in_a_step(tiny, tasks, monkeypatch):
    def find(_):
        raise TasksUnusable(why=tasks.title)

    monkeypatch.setattr(f"{W}.evaluate.open_tasks", find)
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
    answers = Answers(asked, Manner(None), "lexical", "cpu", None)
    found = answers.of(texts, tasks)
    assert tasks.counted["Judging"] == (6, 6, "answers")
    assert found.about["answers"]["judge"] == LexicalJudge().name
