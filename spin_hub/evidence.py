"""What was measured of an edit: metrics with their estimates, for every state of the model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec

from spin_hub.core.stats import Metric
from spin_hub.errors import UnsupportedFormat

FORMAT: Final = 1
BASE: Final = "base"


@dataclass(frozen=True)
class Evidence:
    """What was measured: the states in order, ``base`` first, the metrics, and on how much."""

    states: tuple[str, ...]
    metrics: tuple[Metric, ...]
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
