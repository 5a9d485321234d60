"""The table of metrics, and the form of its entries.

A metric is an entry ``METRIC`` in a file of its own, with its name, its preparation and measurement by ``eval``, and
its report. A module of entries imports torch and transformers inside functions only, since help, cards and ``inspect``
read the entries too. Registration is a line in :data:`spin_hub.evidence.METRICS`; an installed package registers its
own in the entry-point group ``spin_hub.metrics``.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from spin_hub.core.stats import Estimate, Measurement
from spin_hub.errors import PluginFailed
from spin_hub.evidence import METRICS, Report
from spin_hub.progress import Reporter

if TYPE_CHECKING:
    from spin_hub.artifacts.base_model import Base
    from spin_hub.metrics.request import EvalRequest
    from spin_hub.metrics.states import State
    from spin_hub.models.device import Placement

Better: TypeAlias = Literal["higher", "lower"]
_SUITES = ("quick", "answers", "full", "paper")
"""The order in which suites are listed; those of one family follow."""
Need: TypeAlias = Literal["logits", "answers", "representations", "text", "tasks"]


def nothing(_: int) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class Measured:
    """Results of some metrics.

    Attributes:
        metrics: one for every metric and axis.
        about: how they were measured, as plain JSON values, each metric's under its name; for the record and reports.
    """

    metrics: tuple[Measurement, ...]
    about: Mapping[str, Any] = field(default_factory=dict)


class Measure(Protocol):
    """A measurement that is ready to be taken."""

    def __call__(self, model: Any, states: Mapping[str, "State"], reporter: Reporter) -> Measured:
        """Measure a loaded model as it is and in every state, and leave it as it was, bit by bit."""
        ...


@dataclass(frozen=True)
class Inputs:
    """Inputs of a measurement before a model is loaded.

    Attributes:
        request: the options of ``eval``.
        base: the base model's files.
        where: device and precision in which the model will run.
        reporter: called with progress.
    """

    request: "EvalRequest"
    base: "Base"
    where: "Placement"
    reporter: Reporter

    @cached_property
    def tokenizer(self) -> Any:
        """The base model's tokenizer, loaded once."""
        from spin_hub.models.load import load_tokenizer

        return load_tokenizer(self.base.source.folder, self.request.trust_remote_code)


@dataclass(frozen=True)
class QuestionSet:
    """A set of questions that a metric asks.

    Attributes:
        name: in ``--questions``.
        axis: such as ``fairness``, or None if the metric has only one set.
        source: a SPEC, or "" for the built-in set of this name.
    """

    name: str
    axis: str | None = None
    source: str = ""

    def read(self, request: "EvalRequest") -> list[str]:
        """Read the questions, or those of the source that the user names in their place.

        Raises:
            QuestionsError: a source that holds no questions.
        """
        from spin_hub.data.questions import read_questions
        from spin_hub.hub.resolve import resolve_dataset

        spec = request.sets.get(self.name) or self.source or f"builtin:{self.name}"
        return [question.text for question in read_questions(spec, resolve_dataset)[: request.limit]]


def no_report(_: Mapping[str, Any]) -> Report:
    """Report the values alone."""
    return Report()


@dataclass(frozen=True)
class Metric:
    """One metric of ``eval``.

    Attributes:
        name: in ``--suite`` and in records.
        label: in cards and plots.
        unit: of its values.
        better: which direction is an improvement.
        needs: the kind of input. Metrics of ``answers`` are prepared by :func:`spin_hub.metrics.answers.prepare`,
            whose questions vLLM can answer too.
        help: a clause for ``eval --help``, which begins with a small letter and ends without a full stop.
        prepare: makes the measurement ready from the inputs and the names of the metrics. Metrics that are measured
            together share this function, which is called once with all their names. It refuses bad input before a
            model is loaded.
        suites: those that it belongs to, at least one, beside its own name; a new name makes a suite. ``quick``,
            which is measured after every edit, is for metrics of ``logits``.
        sets: questions that it asks.
        preparing: the step in which it is made ready, for progress.
        ability: that a card calls not measured where this metric was not; "" if no card need say so.
        report: from ``about`` of an evaluation, a sentence for the card and more. Metrics that are reported together
            share this function.
    """

    name: str
    label: str
    unit: str
    better: Better
    needs: Need
    help: str
    prepare: Callable[[Inputs, Sequence[str]], Measure]
    suites: tuple[str, ...] = ()
    sets: tuple[QuestionSet, ...] = ()
    preparing: str = "Reading the questions"
    ability: str = ""
    report: Callable[[Mapping[str, Any]], Report] = no_report

    def of(self, values: Mapping[str, Estimate], axis: str | None = None) -> Measurement:
        """Return a measurement of this metric: an estimate for every state that it is defined for."""
        return Measurement(self.name, self.label, axis, self.unit, self.better, values)


def usable() -> dict[str, Metric]:
    """Return the entries of :data:`spin_hub.evidence.METRICS` that load; naming another one says why it fails."""
    found: dict[str, Metric] = {}
    for name in METRICS:
        with suppress(PluginFailed):
            found[name] = METRICS[name]
    return found


def suites() -> dict[str, tuple[str, ...]]:
    """Return the suites by name, each with its metrics, as the entries say."""
    found: dict[str, list[str]] = {name: [] for name in _SUITES}
    for name, metric in usable().items():
        for suite in metric.suites:
            found.setdefault(suite, []).append(name)
    return {suite: tuple(names) for suite, names in found.items()}
