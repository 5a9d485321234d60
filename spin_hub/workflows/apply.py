"""apply: a delta becomes an edited copy of its base, or of a variant of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from spin_hub.checkpoint.digest import sha256
from spin_hub.checkpoint.fitting import fit_of, refusal
from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.core.fit import Fit
from spin_hub.core.lineage import Lineage, architecture_difference, unrelated
from spin_hub.errors import BaseChanged, CorruptFile, DeltaMismatch, DeltaNotFound, Unrelated
from spin_hub.files.output import Placed
from spin_hub.hub.account import account
from spin_hub.hub.lineage import lineage_of
from spin_hub.hub.resolve import hub_cache, resolve_delta
from spin_hub.recipe import BY_DEFAULT, Destination
from spin_hub.record import ModelRecord, Record
from spin_hub.workflows import publish
from spin_hub.workflows.artefacts import base_ref, find_delta, open_delta
from spin_hub.workflows.base import Base, open_base, record_of, shard_digests
from spin_hub.workflows.outcome import (
    SMALL_OUTPUT,
    Outcome,
    Provenance,
    default_name,
    describe,
    write_model_folder,
)
from spin_hub.workflows.publish import PushOptions
from spin_hub.workflows.reporter import SILENT, Reporter


@dataclass(frozen=True)
class ApplyOptions:
    """How a delta is applied.

    Attributes:
        force: apply it also to a model that does not seem to come from the base, or to a base that has changed.
        plan: look at the fit, and write nothing.
        push: where to publish the result; None keeps it here.
    """

    force: bool = False
    plan: bool = False
    push: PushOptions | None = None


_USUAL: Final = ApplyOptions()


@dataclass(frozen=True)
class _Opened:
    """A delta with its record, and the model, called by ``name``, that it is to be applied to."""

    name: str
    path: Path
    delta: Delta
    record: Record | None
    base: Base
    fit: Fit


def apply(
    delta: str | Path,
    model: str | Path,
    destination: Destination = BY_DEFAULT,
    options: ApplyOptions = _USUAL,
    reporter: Reporter = SILENT,
) -> Outcome:
    """Writes a copy of a model with a delta's weights set to zero.

    On the delta's own base this is the edit that was published. On a variant the same positions become zero, whatever
    is there; the variant's own values are kept in the delta of the copy, so that it can be reverted to the variant.

    Args:
        delta: a delta file, a delta folder, an edited model, or the Hub id of one of them.
        model: the delta's base or a variant of it, a folder or Hub id.
        destination: ``./<model name>-spin`` by default.
        options: whether to go past refusals, only to look, or to publish.
        reporter: told of progress.

    Returns:
        The outcome; its output is None where every weight of the delta is zero already or only a plan was asked for,
        and nothing was written.

    Raises:
        DeltaMismatch: the delta cannot be applied to this model.
        Unrelated, BaseChanged: it can, but hardly should; ``force`` goes past it.
        SpinHubError: anything else wrong with the delta, the model, the output or the Hub.
    """
    # A token that cannot push is told before anything is downloaded.
    who = account() if options.push else None
    opened = _open(str(delta), str(model))
    base = opened.base
    reporter.note(summary(opened.fit))
    why = refusal(opened.fit) or _other_architecture(opened)
    if why:
        raise DeltaMismatch(path=model, why=why)
    fit = opened.fit.to_json()
    if opened.fit.all_zero:
        weights = f"all {opened.delta.weights:,} weights are zero"
        reporter.note(f"{model} already holds this edit: {weights}. Nothing was written.")
        return replace(_nothing(opened), fit=fit)
    target = Placed.of(destination, default_name(base.source.name, base.card, "model"))
    publication = None
    if who and options.push:
        subject = ModelRecord(base.source.name, base.source.repo_id, base.source.commit, card=base.card)
        publication = publish.prepare(who, options.push, "model", subject, reporter)
    if not (options.plan or (publication and target.path.is_dir())):
        _check_target(target, opened)
    rebased, provenance = _rebased(opened, options.force, reporter)
    if options.plan:
        return replace(_described(rebased, provenance), fit=fit)
    if publication is None:
        return replace(write_model_folder(target, base, rebased, provenance, reporter), fit=fit)
    publish.check_card(publication, describe("model", rebased, provenance, "0" * 64))
    outcome = _finished(target, rebased, provenance)
    if outcome is None:
        _check_target(target, opened)
        outcome = write_model_folder(target, base, rebased, provenance, reporter)
    else:
        reporter.note(f"{target.path} holds this very edit already; it is pushed as it is.")
    pushed = publish.publish(publication, target.path, outcome.record, reporter)
    return replace(outcome, fit=fit, pushed=pushed)


def _open(delta: str, model: str) -> _Opened:
    path = resolve_delta(delta)
    found, record = open_delta(path)
    base = open_base(model)
    return _Opened(model, path, found, record, base, fit_of(base.index, found))


def summary(fit: Fit) -> str:
    """How a delta fits, in a sentence."""
    text = f"The delta's {fit.weights:,} weights in {fit.expected:,} tensors: {fit.equal:,} are the base's"
    if fit.zero:
        text += f", {fit.zero:,} are zero"
    if fit.changed:
        drift = fit.changed_drift
        text += f", {fit.changed:,} were changed" + ("" if drift is None else f" (by {drift:.2%} in the median)")
    absent = fit.expected - fit.found
    return text + (f", and {absent:,} tensors are missing." if absent else ".")


def _other_architecture(opened: _Opened) -> str | None:
    """What the delta's record knows of its base's architecture, against the model's."""
    known = opened.record.model.model_type if opened.record else None
    return architecture_difference({"model_type": known}, opened.base.index.config) if known else None


def _check_target(target: Placed, opened: _Opened) -> None:
    base = opened.base
    target.check((base.source.folder, opened.path, hub_cache()), base.copy_bytes + SMALL_OUTPUT)


def _rebased(opened: _Opened, force: bool, reporter: Reporter) -> tuple[Delta, Provenance]:
    """The delta as the copy will hold it: of the same base, or of a variant with its own values as originals."""
    delta, base, record = opened.delta, opened.base, opened.record
    here = record_of(base, reporter)
    shard = _first_difference(delta.base.files, here)
    same_repo = bool(base.source.repo_id) and base.source.repo_id == delta.base.repo_id
    if opened.fit.all_equal and shard is None:
        return _on_base(delta, record, here)
    if same_repo and not force and base.source.commit != delta.base.commit:
        at = f"{delta.base.repo_id}@{delta.base.commit}"
        raise BaseChanged(model=opened.name, shard=shard or "config", at=at)
    lineage = lineage_of(base.source, base.index.config, delta.base)
    if lineage.architecture:
        raise DeltaMismatch(path=opened.name, why=lineage.architecture)
    why = unrelated(lineage, opened.fit)
    if why and not force:
        name = delta.base.repo_id or (record.model.name if record else "the delta's base")
        raise Unrelated(model=opened.name, base=name, why=why)
    for note in _notes(lineage):
        reporter.note(note)
    return _on_variant(opened, here, lineage)


def _on_base(delta: Delta, record: Record | None, here: ModelRecord) -> tuple[Delta, Provenance]:
    known = replace(
        here,
        name=record.model.name if record else here.name,
        repo_id=delta.base.repo_id,
        commit=delta.base.commit,
    )
    provenance = Provenance(known, None, None)
    if record is not None:
        provenance = Provenance(known, record.scoring, record.result.candidates, record.evaluation)
    return Delta(delta.edits, base_ref(known), delta.method), provenance


def _on_variant(opened: _Opened, here: ModelRecord, lineage: Lineage) -> tuple[Delta, Provenance]:
    delta, record, index = opened.delta, opened.record, opened.base.index
    edits = {
        name: TensorEdit(edit.shape, index.tensors[name].span.dtype, edit.indices, index.raw(name, edit.indices))
        for name, edit in delta.edits.items()
    }
    chosen_on = {
        "name": record.model.name if record else delta.base.repo_id,
        "repo_id": delta.base.repo_id,
        "commit": delta.base.commit,
    }
    # A delta that comes from a variant itself still tells on which model its weights were chosen.
    method = {**delta.method, "chosen_on": delta.method.get("chosen_on", chosen_on)}
    totals = {key: value for key, value in opened.fit.to_json().items() if key != "matrices"}
    applied: Mapping[str, Any] = {
        "delta_sha256": sha256(find_delta(opened.path), lambda _: None),
        "base": chosen_on,
        "fit": totals,
        "lineage": lineage.to_json(),
    }
    scoring, candidates = (record.scoring, record.result.candidates) if record else (None, None)
    return Delta(edits, base_ref(here), method), Provenance(here, scoring, candidates, None, applied)


def _notes(lineage: Lineage) -> list[str]:
    notes = []
    if lineage.links:
        notes.append(f"Lineage: {' <- '.join(reversed([lineage.variant or 'this folder', *_above(lineage)]))}.")
    for key, base, variant in lineage.config_differences or ():
        notes.append(f"Its config differs: {key} is {variant!r} here, {base!r} in the base.")
    if lineage.unknown and not lineage.linked:
        notes.append(f"The base's config could not be compared: {lineage.unknown}.")
    return notes


def _above(lineage: Lineage) -> tuple[str, ...]:
    return lineage.chain[1:] if lineage.variant else lineage.chain


def _first_difference(recorded: Mapping[str, str], here: ModelRecord) -> str | None:
    """The first shard that is another file than the one that a delta was made for."""
    known, found = shard_digests(recorded), shard_digests(here.files)
    return next((name for name in sorted(known.keys() | found.keys()) if known.get(name) != found.get(name)), None)


def _nothing(opened: _Opened) -> Outcome:
    if opened.record is not None:
        return Outcome(None, opened.record)
    delta = opened.delta
    base = ModelRecord("unknown", delta.base.repo_id, delta.base.commit, delta.base.files)
    return _described(delta, Provenance(base, None, None))


def _described(delta: Delta, provenance: Provenance) -> Outcome:
    return Outcome(None, describe("model", delta, provenance, "0" * 64))


def _finished(target: Placed, delta: Delta, provenance: Provenance) -> Outcome | None:
    """What an earlier run of the same request left at the target; None where that is not what is there."""
    if not target.path.is_dir():
        return None
    try:
        _, record = open_delta(target.path)
    except (DeltaNotFound, CorruptFile):
        return None
    if record is None:
        return None
    expected = describe("model", delta, provenance, record.result.delta_sha256)
    return Outcome(target.path, record) if record.to_json() == expected.to_json() else None
