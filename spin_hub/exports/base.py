"""EXPORTS: one entry for each kind of output, which checks, writes and verifies it.

The library's own are named by their kinds in :mod:`spin_hub.kinds`. A package adds a kind with an entry point in the
group ``spin_hub.exports`` whose object is an :class:`Export`::

    [project.entry-points."spin_hub.exports"]
    gguf = "my_package:GGUF"
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import Base
from spin_hub.artifacts.open import base_ref
from spin_hub.artifacts.verification import Difference
from spin_hub.artifacts.write import Outcome, write_export_folder
from spin_hub.checkpoint.store import FileStore
from spin_hub.core.delta import Delta
from spin_hub.core.ranking import Shape
from spin_hub.errors import UsageError
from spin_hub.kinds import GROUP, OWN, Kind, asked_kind, kinds
from spin_hub.plugins import Table, registered
from spin_hub.progress import Reporter, step
from spin_hub.recipe import SelectionRecipe
from spin_hub.record import ModelRecord, Record

SparseType = Literal["supertuning", "shira"]


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The kind of an output, and the options that some kinds have.

    Attributes:
        form: the kind, a name in :data:`EXPORTS`.
        peft_type: of the form ``peft``; None means ``supertuning``, and ``shira`` is for PEFT older than 0.21.
        all_layers: give a LoRA the untouched layers too, as zeros.
        yes: write a LoRA of any rank.
        measure: compare an unmerged LoRA with the edit; None does it if the base's weights are here and fit into
            memory.
        trust_remote_code: let the base's own code run.

    Raises:
        UsageError: an unknown form, or an option that it does not have.
    """

    form: str
    peft_type: SparseType | None = None
    all_layers: bool = False
    yes: bool = False
    measure: bool | None = None
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        kind = asked_kind(self.form)
        for option in ("peft_type", "all_layers", "measure"):
            if getattr(self, option) and option not in kind.knows:
                knowing = " and ".join(kind.name for kind in kinds() if option in kind.knows)
                raise UsageError(message=f"--{option.replace('_', '-')} is for --as {knowing}, not for {self.form}.")


@dataclass(frozen=True)
class Made:
    """An export that is ready to be written.

    Attributes:
        facts: of its kind.
        base: the model.
    """

    facts: Kind
    base: Base

    @property
    def bytes(self) -> int:
        """The size of its own files, beside delta, record, card and plot."""
        return 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that must not be missed."""
        return ()

    def about(self, reporter: Reporter) -> dict[str, Any] | None:
        """Return what the record says of it in ``adapter``, as JSON values; takes measurements if there are any."""
        return None

    def fill(self, folder: Path, model: ModelRecord) -> None:
        """Write its own files.

        Args:
            folder: empty.
            model: what the record says of the base.
        """

    def write(self, target: Placed, delta: Delta, record: Record, reporter: Reporter) -> Outcome:
        """Write it with delta, record and card, whole or not at all.

        Args:
            target: the folder.
            delta: the edit that is exported.
            record: of the edit; ``adapter`` is added.
            reporter: called with progress.
        """
        model, about = record.model, self.about(reporter)

        def write(folder: Path) -> str:
            self.fill(folder, model)
            return self.facts.name

        held = Delta(delta.edits, base_ref(model), delta.method)
        noun = "adapter" if self.facts.adapter else self.facts.name
        with step(reporter, f"Writing the {noun}"):
            return write_export_folder(target, self.base, held, replace(record, adapter=about), write)


class Export:
    """A kind of output: how it is checked before scoring, made, written and verified.

    Attributes:
        facts: its name, suffix, card and metadata.
    """

    facts: ClassVar[Kind]

    def ready(self, options: ExportOptions) -> None:
        """Refuse a kind whose packages are missing, before anything is fetched.

        Raises:
            SpinHubError: one is missing or too old.
        """

    def check(self, options: ExportOptions, base: Base, names: Sequence[str], reporter: Reporter) -> None:
        """Refuse, before anything is scored, what could not be written for some of these matrices.

        Args:
            options: of the kind.
            base: the model.
            names: of the checkpoint's tensors that may be edited.
            reporter: called with progress.

        Raises:
            SpinHubError: a package is missing, or the kind cannot hold an edit of one of the tensors.
        """

    def draft(self, options: ExportOptions) -> dict[str, Any] | None:
        """Return what the record says in ``adapter`` before the export is made, for the Hub to validate the card."""
        return None

    def size(self, shapes: Sequence[Shape], selection: SelectionRecipe) -> int:
        """Return the bytes of its own files at most, for ``--plan``.

        Args:
            shapes: of the matrices that may be edited.
            selection: with the ratios.
        """
        return 0

    def make(self, options: ExportOptions, delta: Delta, base: Base, reporter: Reporter) -> Made:
        """Make the export of a delta; nothing is written yet.

        Raises:
            SpinHubError: it cannot be made of this delta.
        """
        return Made(self.facts, base)

    def verify(self, record: Record, delta: Delta, store: FileStore, base: str) -> list[Difference]:
        """Compare its own files with those made from the delta.

        Args:
            record: of the edit.
            delta: the edit.
            store: the files, here or on the Hub.
            base: the model that the delta is of: a folder or a Hub id.
        """
        return []

    def shown(self, record: Record) -> list[tuple[str, str]]:
        """Return labels and texts about it for the terminal."""
        return [(name, str(value)) for name, value in (record.adapter or {}).items()]

    def usage(self, record: Record, output: str) -> str:
        """Return the sentence that says what to do with it, for the terminal."""
        return ""


EXPORTS: Final[Table[Export]] = registered(GROUP, {name: kind.export for name, kind in OWN.items()})
"""All exports by the name of their kind, those of installed packages after the library's own."""


def settings_of(record: Record) -> ExportOptions:
    """Return the options that make the export of a record again."""
    known: Mapping[str, Any] = record.facts.options(record.adapter or {})
    return ExportOptions(form=record.kind, **known)
