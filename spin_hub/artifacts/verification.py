"""The result of a verification: the differences, and how much was compared."""

from dataclasses import asdict, dataclass
from typing import Any, Final

# The longest text of a value, in characters.
_MOST: Final = 60


@dataclass(frozen=True)
class Difference:
    """A difference from what is expected.

    Attributes:
        what: ``weights``, ``file``, ``missing``, ``added``, ``base``, ``delta``, ``adapter``, ``record`` or ``card``.
        file: the file with the difference.
        expected, found: in a few words each.
    """

    what: str
    file: str
    expected: str
    found: str


def shown(value: Any) -> str:
    """Format a value for a difference: on one line, and short enough for a cell of a table."""
    text = " ".join(str(value).split())
    return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."


@dataclass(frozen=True)
class Verification:
    """The result of a verification: an edited model is its base with the delta's weights set to zero, or differs.

    Attributes:
        edited: as the user called it, with the commit of a Hub repo.
        base: as the user called it.
        kind: ``model``, ``delta``, ``peft`` or ``lora``.
        quick: only headers and touched weights were read.
        places: touched weights in all.
        checked: the number of them that were read.
        files: how many files were compared.
        differences: all that were found.
        notes: further remarks, a sentence each.
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
        """True if nothing differs."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that the command line prints."""
        fields = asdict(self)
        rows, notes = fields.pop("differences"), fields.pop("notes")
        return {"equal": self.equal, **fields, "differences": list(rows), "notes": list(notes)}
