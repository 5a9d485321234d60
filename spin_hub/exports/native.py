"""The exports ``model`` and ``delta``: the base's files with the edit in them, and the edit alone."""

from typing import Final

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import Base
from spin_hub.artifacts.write import Outcome, write_delta_folder, write_model_folder
from spin_hub.core.delta import Delta
from spin_hub.exports.base import Export, ExportOptions, Made
from spin_hub.kinds import DELTA, MODEL
from spin_hub.progress import Reporter
from spin_hub.record import Record


class MadeModel(Made):
    """An edited model, which is made when it is written."""

    def write(self, target: Placed, delta: Delta, record: Record, reporter: Reporter) -> Outcome:
        """Write the edited model with ``spin/`` and the card, whole or not at all."""
        return write_model_folder(target, self.base, delta, record, reporter)


class MadeDelta(Made):
    """A delta that is ready to be written."""

    def write(self, target: Placed, delta: Delta, record: Record, reporter: Reporter) -> Outcome:
        """Write the delta with its record and card, whole or not at all."""
        return write_delta_folder(target, self.base, delta, record, reporter)


class ModelExport(Export):
    """An edited checkpoint, which loads like its base."""

    facts = MODEL

    def make(self, options: ExportOptions, delta: Delta, base: Base, reporter: Reporter) -> Made:
        """Return the edited model."""
        return MadeModel(self.facts, base)

    def usage(self, record: Record, output: str) -> str:
        """Return how the edit is undone."""
        return f"Undo it with: spin-hub revert {output}"


class DeltaExport(Export):
    """Positions of the edited weights and the base's values, which ``apply`` puts into the base or a variant of it."""

    facts = DELTA

    def make(self, options: ExportOptions, delta: Delta, base: Base, reporter: Reporter) -> Made:
        """Return the delta."""
        return MadeDelta(self.facts, base)

    def usage(self, record: Record, output: str) -> str:
        """Return how the delta is applied."""
        return f"Apply it with: spin-hub apply {output} MODEL"


MODEL_ENTRY: Final = ModelExport()
DELTA_ENTRY: Final = DeltaExport()
