"""export: a delta becomes an adapter for its own base, or another form that is in EXPORTS."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import Base, open_base, open_headers
from spin_hub.artifacts.open import fetch_delta
from spin_hub.artifacts.write import Outcome, default_name, describe
from spin_hub.checkpoint.patch import State, check_fits, state_of
from spin_hub.core.delta import Delta
from spin_hub.core.files import shard_digests
from spin_hub.core.json import differing
from spin_hub.errors import AdapterRefused, SpinHubError, UsageError
from spin_hub.exports.base import EXPORTS, ExportOptions
from spin_hub.hub.cache import hub_cache
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.recipe import BY_DEFAULT, Destination
from spin_hub.record import ModelRecord, Record

_ROOM: Final = 16 << 20
"""Room in which the delta, the card and the plot surely fit, in bytes."""


@dataclass(frozen=True)
class ExportRequest(ExportOptions):
    """A delta to export, and the form.

    Attributes:
        delta: a delta file, a delta folder, an edited model, or the Hub id of one of them.
        base: a folder or Hub id; None takes the base that the delta recorded.
        destination: the model's name with the form's suffix by default, such as ``./<model name>-peft``.
    """

    delta: str
    base: str | None = None
    destination: Destination = BY_DEFAULT


def export(request: ExportRequest, reporter: Reporter = SILENT) -> Outcome:
    """Write an adapter that makes a delta's weights zero on the delta's own base.

    Args:
        request: what and how.
        reporter: called with progress, and with rank and size before anything is written.

    Raises:
        MissingDependency, SpinHubError: PEFT is not installed, or lacks the type.
        SpinHubError: the base holds other values than the delta's.
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
    known = replace(record, model=model) if record else describe(request.form, delta, model)
    outcome = made.write(target, delta, known, reporter)
    return replace(outcome, warnings=made.warnings)


def adapter_base(delta: Delta, name: str | None, weights: bool, reporter: Reporter = SILENT) -> Base:
    """The base of a delta, by the name given or the one that the delta recorded.

    A model whose weights are still on the Hub is the base where the Hub's sha256 of its shards are those that the
    delta recorded; of any other the touched weights are read.

    Args:
        delta: says what its base holds.
        name: a folder or Hub id; None takes the delta's own base at its commit.
        weights: whether a Hub model's weights are needed here.
        reporter: called with progress.

    Raises:
        UsageError: the delta's base is a local folder, and none is named.
        SpinHubError: the model holds other values where the delta touches it.
        DeltaMismatch: a tensor is missing there, or has another shape or type.
        AdapterRefused: its weights are quantised.
    """
    name = name or _recorded(delta)
    base = open_base(name, reporter) if weights else open_headers(name, reporter)
    if base.index.config.get("quantization_config"):
        raise AdapterRefused(what=f"An edit of {name}", why="the model is quantised, so that a sum is rounded")
    with step(reporter, "Comparing the base with the delta"):
        if base.source.elsewhere is not None:
            why = _other_files(base, delta.base.files, delta)
        else:
            why = _other_values(base, delta)
    if why:
        raise SpinHubError(
            f"No adapter of this delta is right for {name}: {why}.",
            hint="An adapter adds to the base's weights, so it is right for the delta's own base alone. "
            "For another model, apply the delta to it (`spin-hub apply`) and export the result.",
        )
    return base


def described(delta: Delta, record: Record | None, base: Base) -> ModelRecord:
    """Return the base for the adapter's record: Hub id and commit if they are known, and no local path."""
    known = record.model if record else replace(base.subject, model_type=base.index.config.get("model_type"))
    source = base.source
    repo_id, commit = (source.repo_id, source.commit) if source.repo_id else (delta.base.repo_id, delta.base.commit)
    name = known.name if record and delta.base.repo_id else source.name
    return replace(known, name=name, repo_id=repo_id, commit=commit, files=delta.base.files)


def _recorded(delta: Delta) -> str:
    if delta.base.pinned is None:
        raise UsageError(
            message="The delta was made from a local folder, and its path is not recorded: name the --base."
        )
    return delta.base.pinned


def _other_files(base: Base, recorded: Mapping[str, str], delta: Delta) -> str | None:
    known, here = shard_digests(recorded), shard_digests(base.source.expected)
    different = next(iter(differing(known, here)), None)
    if different or not known:
        return f"its {different or 'weights'} may be another file than the one that the delta was made for (sha256)"
    for name, edit in delta.edits.items():
        check_fits(base.index, name, edit)
    return None


def _other_values(base: Base, delta: Delta) -> str | None:
    match state_of(base.index, delta):
        case State.ORIGINAL:
            return None
        case State.EDITED:
            return "its touched weights are zero, so that it holds the edit already"
        case _:
            return "its touched weights hold other values than the base's"
