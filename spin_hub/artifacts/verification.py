"""What a verification finds, and the two forms in which it takes a model: a folder and a Hub repo."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from spin_hub.core.identity import Identity
from spin_hub.core.spans import Allowance

_MOST: Final = 60
"""Characters that are shown of a value."""


class Store(Protocol):
    """Files by name, in a folder or a Hub repo."""

    @property
    def label(self) -> str:
        """How a person called it."""
        ...

    @property
    def repo_id(self) -> str | None:
        """Of a Hub repo."""
        ...

    @property
    def commit(self) -> str | None:
        """Of a Hub repo."""
        ...

    @property
    def sizes(self) -> Mapping[str, int]:
        """The size of every file, by name."""
        ...

    def local(self, name: str) -> Path | None:
        """Where a file is on this machine; None where it is not."""
        ...

    def known(self, name: str) -> Identity:
        """What is known of a file without reading it."""
        ...

    def identity(self, name: str) -> Identity:
        """A file's digests, for which it may have to be read."""
        ...

    def sha256(self, name: str) -> str:
        """The sha256 of a file's content."""
        ...

    def whole(self, name: str) -> bytes:
        """The content of a small file."""
        ...

    def pieces(self, name: str) -> Iterator[bytes | bytearray]:
        """The content of a file, in order."""
        ...

    def ranges(self, name: str, spans: Iterable[tuple[int, int]]) -> list[bytes]:
        """The bytes of a file between some places."""
        ...

    def check(self, name: str) -> None:
        """Raises where the copy of a file on this machine is not the Hub's."""
        ...

    def allowance(self, names: Iterable[str]) -> Allowance | None:
        """How much of some files may be read by :meth:`ranges`; None for all."""
        ...


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
