"""export: a delta becomes an adapter for its own base, or another form that is in EXPORTS."""

from dataclasses import dataclass, replace
from typing import Final

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.open import fetch_delta
from spin_hub.artifacts.write import Outcome, Provenance, default_name
from spin_hub.exports.base import EXPORTS, ExportOptions
from spin_hub.exports.base_of import adapter_base, described
from spin_hub.hub.resolve import hub_cache
from spin_hub.progress import SILENT, Reporter
from spin_hub.recipe import BY_DEFAULT, Destination
from spin_hub.record import ModelRecord, Record

_ROOM: Final = 16 << 20
"""Room in which the delta, the card and the plot surely fit, in bytes."""


@dataclass(frozen=True)
class ExportRequest(ExportOptions):
    """What is exported, and as what.

    Attributes:
        delta: a delta file, a delta folder, an edited model, or the Hub id of one of them.
        base: a folder or Hub id; None takes the base that the delta recorded.
        destination: the model's name with the form's suffix by default, such as ``./<model name>-peft``.
    """

    delta: str
    base: str | None = None
    destination: Destination = BY_DEFAULT


def export(request: ExportRequest, reporter: Reporter = SILENT) -> Outcome:
    """Writes an adapter that makes a delta's weights zero on the delta's own base.

    Args:
        request: what and how.
        reporter: told of progress, and of rank and size before anything is written.

    Raises:
        MissingDependency, PeftTooOld: PEFT is not installed, or lacks the type.
        NotTheBase: the base holds other values than the delta's.
        AdapterRefused: the delta touches what no adapter can hold.
        RankTooLarge: the LoRA's rank, without ``yes``.
        SpinHubError: anything else wrong with the delta, the base or the output.
    """
    entry = EXPORTS[request.form]
    entry.ready(request)
    source, delta, record = fetch_delta(request.delta, reporter)
    base = adapter_base(delta, request.base, bool(request.measure), reporter)
    model = described(delta, record, base)
    target = Placed.of(request.destination, default_name(model.name, model.card, request.form))
    forbidden = (base.source.folder, source.path, hub_cache())
    target.check(forbidden)
    made = entry.make(request, delta, base, reporter)
    target.check(forbidden, made.bytes + _ROOM)
    outcome = made.write(target, delta, _provenance(model, record), reporter)
    return replace(outcome, warnings=made.warnings)


def _provenance(model: ModelRecord, record: Record | None) -> Provenance:
    if record is None:
        return Provenance(model, None, None)
    return Provenance(model, record.scoring, record.result.candidates, record.evaluation, record.applied, record.search)
