"""Findings of ``env``: a value of this machine, and what it means here."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

State = Literal["ok", "note", "problem"]

_MOST: Final = 100
_SECRET: Final = re.compile(r"hf_[A-Za-z0-9]{4,}")
_USER: Final = re.compile(r"//[^/\s@]*@")


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: of what was looked at.
        value: what was found.
        state: ``problem`` for what does not work or leads to wrong results, ``note`` for what the user may change.
        note: a sentence on what the value means here.
        figures: the numbers within the value, for programs.
    """

    name: str
    value: str
    state: State = "ok"
    note: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        figures = {"figures": dict(self.figures)} if self.figures else {}
        return {"value": self.value, "state": self.state, "note": self.note, **figures}


@dataclass(frozen=True)
class Report:
    """The findings of ``env`` by section."""

    sections: Mapping[str, tuple[Finding, ...]]

    def count(self, state: State) -> int:
        """The number of findings in a state."""
        return sum(finding.state == state for findings in self.sections.values() for finding in findings)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: section -> name -> value, state and note."""
        sections = {
            section: {finding.name: finding.to_json() for finding in findings}
            for section, findings in self.sections.items()
        }
        return {"problems": self.count("problem"), "notes": self.count("note"), "sections": sections}


def shown(text: str, most: int = _MOST) -> str:
    """A value from outside, without tokens and passwords, and cut where it is long."""
    text = _SECRET.sub("hf_...", _USER.sub("//", text))
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def shown_path(path: Path) -> str:
    """A path, with ``~`` for the home folder."""
    home = Path("~").expanduser() if os.environ.get("HOME") or os.name == "nt" else None
    return shown(str(Path("~") / path.relative_to(home)) if home and path.is_relative_to(home) else str(path))


def weights_in(size: float) -> str:
    """The number of weights that fit into a size in bfloat16: ``7.2B``, ``350M``."""
    number = max(0.0, size) / 2
    return f"{number / 1e9:,.1f}B" if number >= 1e9 else f"{number / 1e6:.0f}M"
