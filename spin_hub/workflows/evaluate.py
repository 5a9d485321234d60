"""eval: a base, an edit of it or another model, and a random control, side by side."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from spin_hub.artifacts.atomic import new_file
from spin_hub.artifacts.open import find_delta, open_delta, write_record
from spin_hub.evidence import BASE, METRICS, Evidence
from spin_hub.metrics.answers import Answers
from spin_hub.metrics.base import Inputs, Measure, Measured
from spin_hub.metrics.request import EvalRequest
from spin_hub.metrics.states import ComparedStates, open_states, states_of
from spin_hub.metrics.vllm_backend import ask_served, check_vllm
from spin_hub.models.device import place
from spin_hub.models.widening import load_running
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.record import NAME as RECORD
from spin_hub.record import Record
from spin_hub.workflows.card import card


@dataclass(frozen=True)
class EvalOutcome:
    """The measurements, as plain JSON values, and the folder whose record holds them now, if there is one."""

    evaluation: Mapping[str, Any]
    folder: Path | None

    def to_json(self) -> dict[str, Any]:
        """The JSON object that the command line prints."""
        return {"output": None if self.folder is None else str(self.folder), "evaluation": self.evaluation}


def evaluate(request: EvalRequest, reporter: Reporter = SILENT) -> EvalOutcome:
    """Measure a model before and after an edit, beside as many random weights set to zero.

    Raises:
        DeltaMismatch: the edit does not fit the model, or is one of another base.
        GuardUnusable: the judge's model is not usable here.
        SpinHubError: the two models have different tokenizers.
        SpinHubError: anything else wrong with the models, the edit, the questions, the judge, the text or the tasks.
    """
    compared = open_states(request.model, request.delta, request.against, reporter)
    where = place(request.device, request.dtype, compared.base.index)
    reporter.note(where.sentence)
    about: dict[str, Any] = {"dtype": where.precision, "precision": where.why, "pairs": {}, "general_examples": 0}
    if compared.other is not None:
        about["against"] = compared.base.source.name
    measure = _by_vllm if request.backend == "vllm" else _in_memory
    states, found = measure(Inputs(request, compared.base, where, reporter), compared)
    metrics = tuple(metric for entry in found for metric in entry.metrics)
    for entry in found:
        about |= entry.about
    plugins = [asdict(plugin) for name in request.metrics if (plugin := METRICS.plugin(name))]
    if plugins:
        about["plugins"] = plugins
    evaluation = Evidence(states, metrics, about).to_json()
    kept = _record(compared.folder, evaluation) if compared.folder and request.record and compared.delta else None
    return EvalOutcome(evaluation, kept)


def _in_memory(inputs: Inputs, compared: ComparedStates) -> tuple[tuple[str, ...], list[Measured]]:
    """Every state in one loaded model, or in two."""
    measures, where, trust = _prepared(inputs), inputs.where, inputs.request.trust_remote_code
    with step(inputs.reporter, "Loading the model"):
        model = load_running(compared.base.index, where, trust)
        states = states_of(compared, model, where, trust, inputs.request.seed)
    return (BASE, *states), [measure(model, states, inputs.reporter) for measure in measures]


def _by_vllm(inputs: Inputs, compared: ComparedStates) -> tuple[tuple[str, ...], list[Measured]]:
    """Every state in a folder that vLLM loads."""
    check_vllm()
    (answers,) = _prepared(inputs)
    assert isinstance(answers, Answers)
    texts = ask_served(compared, answers.asked, answers.settings, inputs.request.seed, inputs.reporter)
    found = answers.of(texts, inputs.reporter)
    about = {"answers": {**found.about["answers"], "backend": "vllm"}}
    return tuple(texts[answers.asked[0].label]), [Measured(found.metrics, about)]


def _prepared(inputs: Inputs) -> list[Measure]:
    """Make the metrics ready, so that whatever is wrong with the inputs is said before a model is loaded."""
    together: dict[Any, list[str]] = {}
    for name in inputs.request.metrics:
        together.setdefault(METRICS[name].prepare, []).append(name)
    found = list[Measure]()
    for title, group in groupby(together.items(), key=lambda entry: METRICS[entry[1][0]].preparing):
        with step(inputs.reporter, title):
            found += [prepare(inputs, names) for prepare, names in group]
    return found


def _record(folder: Path, evaluation: dict[str, Any]) -> Path:
    """Write the results into the record beside a delta, in place of older ones of the same metrics, and the card."""
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
