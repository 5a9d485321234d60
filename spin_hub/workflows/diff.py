"""diff: how far two deltas of one base overlap."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spin_hub.artifacts.write import rule_text
from spin_hub.core.algebra import Overlap, overlaps, total
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.workflows.combine import open_pair


@dataclass(frozen=True)
class Difference:
    """Two deltas side by side: their rules, and their overlap by tensor and in total."""

    rules: tuple[str, str]
    tensors: Mapping[str, Overlap]

    @property
    def total(self) -> Overlap:
        """The overlap of all tensors."""
        return total(self.tensors.values())

    def to_json(self) -> dict[str, Any]:
        """The JSON object that the command line prints."""
        tensors = {name: part.to_json() for name, part in self.tensors.items()}
        return {"rules": {"a": self.rules[0], "b": self.rules[1]}, **self.total.to_json(), "tensors": tensors}


def diff(a: str | Path, b: str | Path, reporter: Reporter = SILENT) -> Difference:
    """Compare the weights of two deltas of one base.

    Args:
        a, b: deltas or edited models: files, folders or Hub ids.
        reporter: called with progress.

    Raises:
        BasesDiffer: the two are not of one base.
        SpinHubError: one is not there, or damaged.
    """
    first, second = open_pair(a, b, reporter)
    rules = rule_text(first.delta.method), rule_text(second.delta.method)
    with step(reporter, "Comparing the deltas"):
        return Difference(rules, overlaps(first.delta, second.delta))
