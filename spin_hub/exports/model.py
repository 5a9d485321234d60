"""The export ``model``: the base's files with the delta's weights set to zero."""

from typing import Final

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import Base
from spin_hub.artifacts.write import Outcome, Provenance, write_model_folder
from spin_hub.core.delta import Delta
from spin_hub.exports.base import Export, ExportOptions, Made
from spin_hub.kinds import MODEL
from spin_hub.progress import Reporter
from spin_hub.record import Record


class EditedModel(Made):
    """An edited model that is ready to be written."""

    def write(self, target: Placed, delta: Delta, provenance: Provenance, reporter: Reporter) -> Outcome:
        """Write the edited model with ``spin/`` and the card, whole or not at all."""
        return write_model_folder(target, self.base, delta, provenance, reporter)


class ModelExport(Export):
    """An edited checkpoint, which loads like its base."""

    facts = MODEL

    def make(self, options: ExportOptions, delta: Delta, base: Base, reporter: Reporter) -> Made:
        """Return the edited model, which is made when it is written."""
        return EditedModel(self.facts, base)

    def usage(self, record: Record, output: str) -> str:
        """Return how the edit is undone."""
        return f"Undo it with: spin-hub revert {output}"


ENTRY: Final = ModelExport()
