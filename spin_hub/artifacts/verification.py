"""The result of a verification: the differences, and how much was compared."""

from dataclasses import asdict, dataclass
from typing import Any, Final

_MOST: Final = 60
"""Characters that are shown of a value."""


@dataclass(frozen=True)
class Difference:
    """Something that is not as it should be.

    Attributes:
        what: ``weights``, ``file``, ``missing``, ``added``, ``base``, ``delta``, ``adapter``, ``record`` or ``card``.
        file: in which it shows.
        expected, found: in a few words each.
    """

    what: str
    file: str
    expected: str
    found: str


def shown(value: Any) -> str:
    """A value as it stands in a difference: on one line, and not longer than a cell of a table bears."""
    text = " ".join(str(value).split())
    return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."


@dataclass(frozen=True)
class Verification:
    """Whether an edited model is its base with the delta's weights set to zero.

    Attributes:
        edited: as a person called it; with the commit of a Hub repo.
        base: the same of the base.
        kind: ``model``, ``delta``, ``peft`` or ``lora``.
        quick: whether only places were looked at.
        places: touched weights in all.
        checked: those that were looked at.
        files: how many files were compared.
        differences: all that were found.
        notes: what a person should know beside.
    """

    edited: str
    base: str
    kind: str
    quick: bool
    places: int
    checked: int
    files: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        """The JSON object that the command line prints."""
        fields = asdict(self)
        rows, notes = fields.pop("differences"), fields.pop("notes")
        return {"equal": self.equal, **fields, "differences": list(rows), "notes": list(notes)}
