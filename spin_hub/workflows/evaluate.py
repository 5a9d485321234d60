"""eval: a base, an edit of it or another model, and a random control, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spin_hub.artifacts.atomic import new_file
from spin_hub.artifacts.base_model import Base
from spin_hub.artifacts.open import find_delta, open_delta, write_record
from spin_hub.evidence import BASE, Evidence
from spin_hub.metrics.capability import Tasks, open_tasks
from spin_hub.metrics.held_out import texts_for
from spin_hub.metrics.judge import check_judge
from spin_hub.metrics.questions import Manner
from spin_hub.metrics.registry import (
    Answers,
    Harness,
    Likelihood,
    Measure,
    Measured,
    asked_of,
    coupled,
    window_of,
    windowed,
)
from spin_hub.metrics.request import ANSWERS, EvalRequest
from spin_hub.metrics.served import check_vllm
from spin_hub.metrics.served_states import ask_served
from spin_hub.metrics.states import Sides, open_sides, states_of
from spin_hub.models.device import Placement, place
from spin_hub.models.load import load_tokenizer
from spin_hub.models.widening import load_running
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.recipe import ScoringRecipe
from spin_hub.record import NAME as RECORD
from spin_hub.record import Record
from spin_hub.workflows.card import card


@dataclass(frozen=True)
class EvalOutcome:
    """What was measured, as plain JSON values, and the folder whose record holds it now, where there is one."""

    evaluation: Mapping[str, Any]
    folder: Path | None

    def to_json(self) -> dict[str, Any]:
        """The JSON object that the command line prints."""
        return {"output": None if self.folder is None else str(self.folder), "evaluation": self.evaluation}


def evaluate(request: EvalRequest, reporter: Reporter = SILENT) -> EvalOutcome:
    """Measures a model before and after an edit, beside as many random weights set to zero.

    Raises:
        DeltaMismatch: the edit does not fit the model, or is one of another base.
        GuardUnusable: the judge's model is not usable here.
        ModelsDiffer: the two models have different tokenizers.
        SpinHubError: anything else wrong with the models, the edit, the questions, the judge, the text or the tasks.
    """
    sides = open_sides(request.model, request.delta, request.against, reporter)
    where = place(request.device, request.dtype, sides.base.index)
    reporter.note(where.sentence)
    about: dict[str, Any] = {"dtype": where.precision, "precision": where.why, "pairs": {}, "general_examples": 0}
    if sides.other is not None:
        about["against"] = sides.base.source.name
    if request.backend == "vllm":
        states, found = _by_vllm(request, sides, reporter)
    else:
        states, found = _in_memory(request, sides, where, reporter)
    metrics = tuple(metric for entry in found for metric in entry.metrics)
    for entry in found:
        about |= entry.about
    evaluation = Evidence(states, metrics, about).to_json()
    kept = _record(sides.folder, evaluation) if sides.folder and request.record and sides.delta else None
    return EvalOutcome(evaluation, kept)


def _in_memory(
    request: EvalRequest, sides: Sides, where: Placement, reporter: Reporter
) -> tuple[tuple[str, ...], list[Measured]]:
    """Every state in one loaded model, or in two."""
    measures = _measures(request, sides.base, where, reporter)
    with step(reporter, "Loading the model"):
        model = load_running(sides.base.index, where, request.trust_remote_code)
        states = states_of(sides, model, where, request.trust_remote_code, request.seed)
    return (BASE, *states), [measure(model, states, reporter) for measure in measures]


def _by_vllm(request: EvalRequest, sides: Sides, reporter: Reporter) -> tuple[tuple[str, ...], list[Measured]]:
    """Every state in a folder that vLLM loads."""
    check_vllm()
    with step(reporter, "Reading the questions"):
        answers = _answers(request, load_tokenizer(sides.base.source.folder, request.trust_remote_code))
    texts = ask_served(sides, answers.asked, answers.manner, request.seed, reporter)
    found = answers.of(texts, reporter)
    about = {"answers": {**found.about["answers"], "backend": "vllm"}}
    return tuple(texts[answers.asked[0].label]), [Measured(found.metrics, about)]


def _measures(request: EvalRequest, base: Base, where: Placement, reporter: Reporter) -> list[Measure]:
    """Make ready what is asked for, so that whatever is wrong with it is said before a model is loaded."""
    wanted, found = request.metrics, list[Measure]()
    folder = base.source.folder
    with step(reporter, "Reading the questions"):
        tokenizer = None if wanted == ("likelihood",) else load_tokenizer(folder, request.trust_remote_code)
        if "likelihood" in wanted:
            found.append(Likelihood(texts_for(base, ScoringRecipe(trust_remote_code=request.trust_remote_code))))
        if set(wanted) & set(ANSWERS):
            found.append(_answers(request, tokenizer))
        if "coupling" in wanted:
            found.append(coupled(request.sets, tokenizer, request.limit))
        if "wikitext" in wanted:
            size = window_of(base.index.config, where, request.window)
            found.append(windowed(request.text, tokenizer, size, request.limit))
    # What takes longest comes last.
    if "capability" in wanted:
        tasks = Tasks(request.tasks, request.task_dir, request.limit)
        with step(reporter, "Finding the tasks"):
            found.append(Harness(tasks, open_tasks(tasks), tokenizer))
    return found


def _answers(request: EvalRequest, tokenizer: Any) -> Answers:
    check_judge(request.judged_by, request.device)
    asked = asked_of(request.metrics, request.sets, request.limit)
    manner = Manner(tokenizer, request.new_tokens, request.chat_template)
    return Answers(asked, manner, request.judged_by, request.device, request.answers)


def _record(folder: Path, evaluation: dict[str, Any]) -> Path:
    """Writes the results into the record beside a delta, in place of older ones of the same metrics, and the card."""
    _, record = open_delta(folder)
    assert record is not None
    path = find_delta(folder).with_name(RECORD)
    merged = replace(record, evaluation=_merged(record, evaluation))
    with new_file(path) as file:
        write_record(file, merged)
    card(folder)
    return folder


def _merged(record: Record, evaluation: dict[str, Any]) -> dict[str, Any]:
    known: Mapping[str, Any] = record.evaluation or {}
    if list(known.get("states", ())) != evaluation["states"]:
        return evaluation
    new = {(metric["name"], metric["axis"]) for metric in evaluation["metrics"]}
    older = [metric for metric in known["metrics"] if (metric["name"], metric["axis"]) not in new]
    about = {**known["about"], **{key: value for key, value in evaluation["about"].items() if value}}
    return {**evaluation, "metrics": [*older, *evaluation["metrics"]], "about": about}
