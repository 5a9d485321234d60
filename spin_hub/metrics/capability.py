"""Capability: tasks of the LM Evaluation Harness, run on a loaded model in every state.

Settings: every task as lm-eval defines it, zero-shot unless its file says otherwise, one fixed seed; of a task's
metrics the length-normalised accuracy where it has one, else its first.
Baseline: the base model on the same documents.
Corrects for: nothing beyond what the tasks do.
Interval: 95 %, normal, from lm-eval's standard error; if an answer is right or wrong, also the gained and lost
documents and an exact paired test.
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
"""General ability, and the tasks of lm-eval on fairness."""
_BATCH: Final = 8
_RESAMPLED: Final = 1000
"""Samples of the bootstrap, for the few metrics whose standard error has no formula."""
_FAILURES: Final = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, AttributeError, IndexError)
"""Errors of lm-eval and of the data sets of its tasks, each of which is code and data of others."""


@dataclass(frozen=True)
class Tasks:
    """The tasks to run.

    Attributes:
        names: of tasks and groups of lm-eval.
        folder: with the user's own task files.
        limit: the most documents of a task, or None for all.
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
        TasksUnusable: lm-eval does not know a task.
    """
    tasks = Tasks(inputs.request.tasks, inputs.request.task_dir, inputs.request.limit)
    return Harness(tasks, open_tasks(tasks), inputs.tokenizer)


def report(about: Mapping[str, Any]) -> Report:
    """Report the version of lm-eval, the documents of each task, and the changes document by document."""
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
    """Return a task manager of lm-eval that knows every task.

    Raises:
        MissingDependency: lm-eval is not installed.
        TasksUnusable: a task that it does not know.
    """
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise MissingDependency(package="lm-eval", command='pip install "spin-hub[eval]"') from error
    if tasks.folder is not None and not tasks.folder.is_dir():
        raise TasksUnusable(why=f"{tasks.folder} is not a folder")
    # For the harness's own tasks thousands of files are read, which is not needed if the folder has every task.
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
    """Run tasks on a loaded model as it is and in every state.

    Args:
        model: a causal language model of transformers in eval mode; it is left as it was, bit by bit.
        tokenizer: the model's.
        tasks: to run.
        manager: of :func:`open_tasks`.
        states: name -> the weights that are zero in it, or another model.
        advance: called after every state.

    Raises:
        TasksUnusable: a task fails, or its data are not available.
    """
    from spin_hub.metrics.states import beside_base, turned

    results: dict[str, Any] = {}
    for name, state in beside_base(states).items():
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
    # Its warnings are about launchers of several processes, and about defaults of task files.
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    try:
        wrapped = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=_BATCH)
        found = lm_eval.simple_evaluate(
            wrapped, tasks=list(tasks.names), task_manager=manager, limit=tasks.limit, bootstrap_iters=_RESAMPLED
        )
    except _FAILURES as error:
        raise TasksUnusable(why=f"{type(error).__name__}, {first_line(error)}") from error
    if not found:
        raise TasksUnusable(why="lm-eval returned no results")
    return dict(found)


def _metric_of(task: str, result: Mapping[str, Any]) -> str:
    """Return the metric to report of a task, such as ``acc_norm,none``."""
    names: list[str] = [
        name
        for name, value in result["results"].get(task, {}).items()
        if "," in name and "_stderr" not in name and isinstance(value, int | float)
    ]
    if not names:
        raise TasksUnusable(why=f"lm-eval returned no number for the task {task!r}")
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
    """Count the documents of a task, or of a group's tasks."""
    counts = result.get("n-samples", {})
    if task in counts:
        return int(counts[task]["effective"])
    return sum(int(counts[name]["effective"]) for name in _leaves(task, result) if name in counts)


def _leaves(task: str, result: Mapping[str, Any]) -> list[str]:
    """Return the tasks of a group and of its groups, or the task itself."""
    below: Sequence[str] = result.get("group_subtasks", {}).get(task, ())
    return [leaf for name in below for leaf in _leaves(name, result)] if below else [task]


def _changes(task: str, key: str, results: Mapping[str, Mapping[str, Any]]) -> dict[str, Paired]:
    before = _outcomes(task, key, results[BASE])
    if before is None:
        return {}
    changes = {}
    for state, result in results.items():
        after = _outcomes(task, key, result)
        if state != BASE and after is not None and after.keys() == before.keys():
            changes[state] = paired([before[place] for place in before], [after[place] for place in before])
    return changes


def _outcomes(task: str, key: str, result: Mapping[str, Any]) -> dict[tuple[str, Any], bool] | None:
    """Return per document whether it was answered rightly, or None if the metric is more than right or wrong."""
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
