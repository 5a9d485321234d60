"""A delta brought to the model that it is applied to: its base, or a variant with values of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from spin_hub.artifacts.base_model import Base, record_of
from spin_hub.artifacts.open import base_ref, find_delta
from spin_hub.artifacts.write import describe, restated
from spin_hub.checkpoint.compat import Fit
from spin_hub.checkpoint.digests import sha256
from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.core.files import shard_digests
from spin_hub.core.json import differing
from spin_hub.errors import BaseChanged, DeltaMismatch, Unrelated
from spin_hub.hub.base_models import Lineage, lineage_of, unrelated
from spin_hub.hub.resolve import Artefact
from spin_hub.kinds import MODEL
from spin_hub.progress import Reporter, step
from spin_hub.record import ModelRecord, Record


@dataclass(frozen=True)
class Opened:
    """A delta with its record, and the model, called by ``name``, that it is to be applied to."""

    name: str
    source: Artefact
    delta: Delta
    record: Record | None
    base: Base
    fit: Fit


def rebase(opened: Opened, force: bool, reporter: Reporter) -> tuple[Delta, Record]:
    """The delta as the copy will hold it: of the same base, or of a variant with its own values as originals.

    Raises:
        BaseChanged: the model is the delta's base at another commit, and its weights differ.
        Unrelated: no card links it to the base, and its weights are far from the base's.
        DeltaMismatch: it is of another architecture.
        DownloadDamaged: a downloaded file is not the one that the Hub has.
    """
    delta, base, record = opened.delta, opened.base, opened.record
    here = record_of(base, reporter)
    shard = next(iter(differing(shard_digests(delta.base.files), shard_digests(here.files))), None)
    same_repo = bool(base.source.repo_id) and base.source.repo_id == delta.base.repo_id
    if opened.fit.all_equal and shard is None:
        return _on_base(delta, record, here)
    if same_repo and not force and base.source.commit != delta.base.commit:
        raise BaseChanged(model=opened.name, shard=shard or "config", at=delta.base.pinned)
    with step(reporter, "Looking up the model's lineage"):
        lineage = lineage_of(base.source, base.index.config, delta.base)
    if lineage.architecture:
        raise DeltaMismatch(path=opened.name, why=lineage.architecture)
    why = unrelated(lineage, opened.fit)
    if why and not force:
        name = delta.base.repo_id or (record.model.name if record else "the delta's base")
        raise Unrelated(model=opened.name, base=name, why=why)
    for note in _notes(lineage):
        reporter.note(note)
    with step(reporter, "Reading the model's own values"):
        return _on_variant(opened, here, lineage)


def _on_base(delta: Delta, record: Record | None, here: ModelRecord) -> tuple[Delta, Record]:
    name = record.model.name if record else here.name
    # A repo of the Hub is named as it is: its other files may not be those of the delta's own base.
    known = here if here.repo_id else replace(here, name=name, repo_id=delta.base.repo_id, commit=delta.base.commit)
    rebased = Delta(delta.edits, base_ref(known), delta.method)
    if record is None:
        return rebased, describe(MODEL.name, rebased, known)
    return rebased, restated(replace(record, model=known, applied=None, adapter=None), MODEL.name, rebased)


def _on_variant(opened: Opened, here: ModelRecord, lineage: Lineage) -> tuple[Delta, Record]:
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
        "delta": {
            "repo_id": opened.source.repo_id,
            "commit": opened.source.commit,
            "sha256": sha256(find_delta(opened.source.path)),
        },
        "base": chosen_on,
        "fit": totals,
        "lineage": lineage.to_json(),
    }
    scoring, candidates = (record.scoring, record.result.candidates) if record else (None, None)
    rebased = Delta(edits, base_ref(here), method)
    return rebased, replace(describe(MODEL.name, rebased, here, scoring, candidates), applied=applied)


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
