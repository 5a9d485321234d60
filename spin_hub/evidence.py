"""Measurements of an edit, for every state of the model, and the table of metrics that they are named after."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from spin_hub.core.stats import Measurement
from spin_hub.errors import PluginFailed, UnsupportedFormat
from spin_hub.plugins import Table, registered

FORMAT: Final = 1
BASE, EDITED, CONTROL = "base", "edited", "control"
"""The states of a model: as it is, edited, and with as many random weights set to zero."""


@dataclass(frozen=True)
class Grid:
    """A small table of a report: its header, its rows, and how many columns on the left are text."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    left: int = 1


@dataclass(frozen=True)
class Plot:
    """A plot of a report.

    Attributes:
        name: of its file.
        title: above it, with ``{name}`` for the model's name.
        draw: writes it, called with the title and the path.
    """

    name: str
    title: str
    draw: Callable[[str, Path], None]


@dataclass(frozen=True)
class Report:
    """How some metrics were measured, in words.

    Attributes:
        sentence: for the card, plain text; the card escapes what Markdown would read. One that ends with a colon is
            followed by a table of the changes.
        changes: set of questions or task -> state -> what was gained and lost against the base, and the p-value.
        grids: other tables for the terminal.
        facts: further rows for the terminal.
        plots: beside the one of all metrics.
    """

    sentence: str | None = None
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    grids: Sequence[Grid] = ()
    facts: Sequence[tuple[str, str]] = ()
    plots: Sequence[Plot] = ()


METRICS: Final[Table[Any]] = registered(
    "spin_hub.metrics",
    {
        name: f"spin_hub.metrics.{name}:METRIC"
        for name in (
            "kl", "perplexity", "preference", "gain", "awareness", "over_refusal", "safety", "coupling", "wikitext",
            "capability",
        )
    },
)  # fmt: skip
"""Every metric by its name, a :class:`spin_hub.metrics.base.Metric`, in the order in which they are measured: what
takes longest comes last. Places in place of entries, so that cards, which import no metric, can look one up."""


def reports(evaluation: Mapping[str, Any]) -> Iterator[Report]:
    """Yield how the metrics of an evaluation were measured, once for those that are reported together.

    A metric that is not installed here has its recorded values alone.

    Args:
        evaluation: as :meth:`Evidence.to_json` gives it.
    """
    measured = {str(metric["name"]) for metric in evaluation["metrics"]}
    done = set()
    for name in (name for name in METRICS if name in measured):
        try:
            report = METRICS[name].report
        except PluginFailed:
            continue
        if report not in done:
            done.add(report)
            yield report(evaluation["about"])


def unmeasured(evaluation: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the abilities that metrics of this version measure, and that an evaluation, or none at all, did not."""
    measured = {str(metric["name"]) for metric in evaluation["metrics"]} if evaluation else set()
    for name in (name for name in METRICS if name not in measured):
        with suppress(PluginFailed):
            if ability := METRICS[name].ability:
                yield ability


@dataclass(frozen=True)
class Evidence:
    """Measurements: the states in order, ``base`` first, the metrics, and on how much they rest."""

    states: tuple[str, ...]
    metrics: tuple[Measurement, ...]
    about: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, with the format version."""
        return {
            "format": FORMAT,
            "states": list(self.states),
            "metrics": [metric.to_json() for metric in self.metrics],
            "about": {**self.about, "pairs": dict(self.about["pairs"])},
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """The reverse of :meth:`to_json`.

        Raises:
            UnsupportedFormat: another format version.
            KeyError, TypeError, ValueError: the entry has another form.
        """
        if type(entry["format"]) is not int or entry["format"] != FORMAT:
            raise UnsupportedFormat(path="evidence", what=f"format {str(entry['format'])[:40]!r}")
        return msgspec.convert(entry, cls)
