"""Capability: tasks of the LM Evaluation Harness, run on a loaded model in every state.

Settings: every task as lm-eval defines it, zero-shot unless its file says otherwise, one fixed seed; of a task's
metrics the length-normalised accuracy where it has one, else its first.
Baseline: the base model on the same documents.
Corrects for: nothing beyond what the tasks do.
Interval: 95 %, normal, from the standard error that lm-eval gives; per document gained and lost answers, and an exact
paired test, where the metric is right or wrong.
Source: L. Gao et al., "The Language Model Evaluation Harness" (2024), whose code runs the tasks.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spin_hub.core.stats import Estimate, Measurement, Paired, Z, paired
from spin_hub.errors import MissingDependency, TasksUnusable, first_line
from spin_hub.evidence import BASE, Report
from spin_hub.metrics.base import Inputs, Measured, Metric
from spin_hub.progress import Reporter

if TYPE_CHECKING:
    from spin_hub.metrics.states import State

TASKS: Final = (
    "hellaswag", "race", "mmlu", "gpqa_main_zeroshot", "openbookqa", "boolq", "piqa",
    "bbq", "crows_pairs_english", "toxigen", "winogender_all",
)  # fmt: skip
"""General ability, and the tasks of lm-eval that are about fairness."""
_BATCH: Final = 8
_RESAMPLED: Final = 1000
"""Samples of the bootstrap, for the few metrics whose standard error has no formula."""
_FAILURES: Final = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, AttributeError, IndexError)
"""What lm-eval and the data sets of its tasks raise; each task is code and data of others."""


@dataclass(frozen=True)
class Tasks:
    """Which tasks are run.

    Attributes:
        names: as lm-eval calls them; groups too.
        folder: with task files of one's own.
        limit: the most documents of a task; None takes all.
    """

    names: tuple[str, ...] = TASKS
    folder: Path | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Harness:
    """A measurement by tasks of lm-eval."""

    tasks: Tasks
    manager: Any
    tokenizer: Any

    def __call__(self, model: Any, states: Mapping[str, "State"], reporter: Reporter) -> Measured:
        """Run the tasks."""
        with reporter.task("Tasks of lm-eval", 1 + len(states), "states") as advance:
            found = capability(model, self.tokenizer, self.tasks, self.manager, states, advance)
        return Measured(found.metrics, {"capability": found.about})


def prepare(inputs: Inputs, _: Sequence[str]) -> Harness:
    """Find the tasks.

    Raises:
        MissingDependency: lm-eval is not installed.
        TasksUnusable: a task that it does not know.
    """
    tasks = Tasks(inputs.request.tasks, inputs.request.task_dir, inputs.request.limit)
    return Harness(tasks, open_tasks(tasks), inputs.tokenizer)


def report(about: Mapping[str, Any]) -> Report:
    """Report the version of lm-eval, the tasks' documents, and the changes document by document."""
    found = about["capability"]
    tasks = ", ".join(f"{count:,} documents of {task}" for task, count in found["tasks"].items())
    return Report(
        f"Tasks: run by lm-eval {found['version']}, on {tasks}.",
        changes=found["paired"],
        facts=[("documents", ", ".join(f"{task} {count:,}" for task, count in found["tasks"].items()))],
    )


METRIC: Final = Metric(
    name="capability",
    label="Task",
    unit="as the task defines it",
    better="higher",
    needs="tasks",
    ability="abilities beyond general text",
    help="tasks of lm-eval",
    prepare=prepare,
    suites=("paper",),
    preparing="Finding the tasks",
    report=report,
)


def open_tasks(tasks: Tasks) -> Any:
    """The task manager of lm-eval, once it knows every task.

    Raises:
        MissingDependency: lm-eval is not installed.
        TasksUnusable: a task that it does not know.
    """
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise MissingDependency(package="lm-eval", command='pip install "spin-hub[eval]"') from error
    if tasks.folder is not None and not tasks.folder.is_dir():
        raise TasksUnusable(why=f"{tasks.folder} is no folder")
    # Thousands of files are read for the harness's own tasks; a folder that has them all is enough.
    if tasks.folder is not None:
        manager = TaskManager(include_path=str(tasks.folder), include_defaults=False)
        if set(tasks.names) <= set(manager.all_tasks):
            return manager
    manager = TaskManager(include_path=str(tasks.folder) if tasks.folder else None)
    unknown = [name for name in tasks.names if name not in manager.all_tasks]
    if unknown:
        raise TasksUnusable(why=f"lm-eval knows no task {unknown[0]!r}")
    return manager


def capability(  # noqa: PLR0913
    model: Any,
    tokenizer: Any,
    tasks: Tasks,
    manager: Any,
    states: Mapping[str, "State"],
    advance: Callable[[int], None],
) -> Measured:
    """Runs tasks on a loaded model as it is and in every state.

    Args:
        model: a causal language model of transformers in eval mode; it is left as it was, bit by bit.
        tokenizer: the model's.
        tasks: which.
        manager: of :func:`open_tasks`.
        states: name -> the weights that are zero in it, or another model.
        advance: told of every state that is done.

    Raises:
        TasksUnusable: a task fails, or its data cannot be had.
    """
    from spin_hub.metrics.states import beside_base, turned

    everyone = beside_base(states)
    results: dict[str, Any] = {}
    for name, state in everyone.items():
        with turned(model, state) as found:
            results[name] = _run(found, tokenizer, tasks, manager)
        advance(1)
    metrics, changes = [], {}
    for task in tasks.names:
        key = _metric_of(task, results[BASE])
        metrics.append(_metric(task, key, results))
        change = _changes(task, key, results)
        if change:
            changes[task] = {state: found.to_json() for state, found in change.items()}
    about = {
        "version": version("lm_eval"),
        "tasks": {name: _documents(name, results[BASE]) for name in tasks.names},
        "paired": changes,
    }
    return Measured(tuple(metrics), about)


def _run(model: Any, tokenizer: Any, tasks: Tasks, manager: Any) -> Mapping[str, Any]:
    import lm_eval
    from lm_eval import evaluator
    from lm_eval.models.huggingface import HFLM

    # It asks for the commit of the working folder, and outside of a repository git complains on stderr.
    evaluator.get_git_commit_hash = str
    # Its warnings are of models in launchers of several processes, and of what task files leave to defaults.
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    try:
        wrapped = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=_BATCH)
        found = lm_eval.simple_evaluate(
            wrapped, tasks=list(tasks.names), task_manager=manager, limit=tasks.limit, bootstrap_iters=_RESAMPLED
        )
    except _FAILURES as error:
        why = first_line(error)
        raise TasksUnusable(why=f"{type(error).__name__}, {why}") from error
    if not found:
        raise TasksUnusable(why="lm-eval gave no results")
    return dict(found)


def _metric_of(task: str, result: Mapping[str, Any]) -> str:
    """The metric that stands for a task, such as ``acc_norm,none``."""
    names: list[str] = [
        name
        for name, value in result["results"].get(task, {}).items()
        if "," in name and "_stderr" not in name and isinstance(value, int | float)
    ]
    if not names:
        raise TasksUnusable(why=f"lm-eval gave no number for the task {task!r}")
    return next((name for name in names if name.startswith("acc_norm,")), names[0])


def _metric(task: str, key: str, results: Mapping[str, Mapping[str, Any]]) -> Measurement:
    name, _, filtered = key.partition(",")
    values = {}
    for state, result in results.items():
        found = result["results"][task]
        value, error = float(found[key]), found.get(f"{name}_stderr,{filtered}")
        known = isinstance(error, int | float) and math.isfinite(error)
        low, high = (value - Z * error, value + Z * error) if known else (None, None)
        values[state] = Estimate(value, low, high, _documents(task, result))
    better = "higher" if results[BASE].get("higher_is_better", {}).get(task, {}).get(name, True) else "lower"
    return replace(METRIC.of(values, task), label=f"{METRIC.label}, {name}", unit=name, better=better)


def _documents(task: str, result: Mapping[str, Any]) -> int:
    """How many documents of a task, or of a group's tasks, were run."""
    counts = result.get("n-samples", {})
    if task in counts:
        return int(counts[task]["effective"])
    return sum(int(counts[name]["effective"]) for name in _leaves(task, result) if name in counts)


def _leaves(task: str, result: Mapping[str, Any]) -> list[str]:
    """The tasks of a group, of its groups too; a task itself where it is none."""
    below: Sequence[str] = result.get("group_subtasks", {}).get(task, ())
    return [leaf for name in below for leaf in _leaves(name, result)] if below else [task]


def _changes(task: str, key: str, results: Mapping[str, Mapping[str, Any]]) -> dict[str, Paired]:
    before = _outcomes(task, key, results[BASE])
    if before is None:
        return {}
    changes = {}
    for state in results.keys() - {BASE}:
        after = _outcomes(task, key, results[state])
        if after is not None and after.keys() == before.keys():
            changes[state] = paired([before[place] for place in before], [after[place] for place in before])
    return {state: changes[state] for state in results if state in changes}


def _outcomes(task: str, key: str, result: Mapping[str, Any]) -> dict[tuple[str, Any], bool] | None:
    """Per document whether it was answered rightly; None where the metric is more than right or wrong."""
    name, _, filtered = key.partition(",")
    found = {}
    for leaf in _leaves(task, result):
        for sample in result.get("samples", {}).get(leaf, ()):
            if sample.get("filter", filtered) != filtered:
                continue
            if sample.get(name) not in (0, 1):
                return None
            found[(leaf, sample["doc_id"])] = bool(sample[name])
    return found or None
