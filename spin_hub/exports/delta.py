"""The export ``delta``: positions of the edited weights and the base's values, without a model."""

from typing import Final

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import Base
from spin_hub.artifacts.write import Outcome, Provenance, write_delta_folder
from spin_hub.core.delta import Delta
from spin_hub.exports.base import Export, ExportOptions, Made
from spin_hub.kinds import DELTA
from spin_hub.progress import Reporter
from spin_hub.record import Record


class DeltaAlone(Made):
    """A delta that is ready to be written."""

    def write(self, target: Placed, delta: Delta, provenance: Provenance, reporter: Reporter) -> Outcome:
        """Write the delta with its record and card, whole or not at all."""
        return write_delta_folder(target, self.base, delta, provenance, reporter)


class DeltaExport(Export):
    """A delta, which ``apply`` puts into its base or a variant of it."""

    facts = DELTA

    def make(self, options: ExportOptions, delta: Delta, base: Base, reporter: Reporter) -> Made:
        """Return the delta as it will be written."""
        return DeltaAlone(self.facts, base)

    def usage(self, record: Record, output: str) -> str:
        """Return how the delta is applied."""
        return f"Apply it with: spin-hub apply {output} MODEL"


ENTRY: Final = DeltaExport()
