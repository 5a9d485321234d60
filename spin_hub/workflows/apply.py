"""apply: a delta becomes an edited copy of the base it was made for."""

from pathlib import Path

from spin_hub.checkpoint.digest import sha256
from spin_hub.checkpoint.patch import State, state_of
from spin_hub.core.delta import BaseRef, Delta
from spin_hub.errors import DeltaMismatch
from spin_hub.files.output import Placed
from spin_hub.hub.resolve import hub_cache
from spin_hub.recipe import BY_DEFAULT, Destination
from spin_hub.record import ModelRecord, Record
from spin_hub.workflows.artefacts import base_ref, find_delta, open_delta
from spin_hub.workflows.base import open_base, record_of, shard_digests
from spin_hub.workflows.outcome import SMALL_OUTPUT, Outcome, Provenance, describe, write_model_folder
from spin_hub.workflows.reporter import SILENT, Reporter


def apply(delta_path: Path, model: str, destination: Destination = BY_DEFAULT, reporter: Reporter = SILENT) -> Outcome:
    """Writes a copy of a model with a delta's weights set to zero.

    Args:
        delta_path: a delta file, a delta folder, or an edited model.
        model: the base, a folder or Hub id.
        destination: ``./<model name>-spin`` by default.
        reporter: told of progress.

    Returns:
        The outcome; its output is None where every weight of the delta is zero already, and nothing was written.

    Raises:
        DeltaMismatch: the model is not the delta's base.
        SpinHubError: anything else wrong with the delta, the model or the output.
    """
    delta, record = open_delta(delta_path)
    base = open_base(model)
    state = state_of(base.index, delta)
    if state is State.EDITED:
        reporter.note(f"{model} already holds this edit: all {delta.weights:,} weights are zero. Nothing was written.")
        return _nothing_to_do(delta_path, delta, record)
    if state is State.OTHER:
        raise DeltaMismatch(path=model, why="some of the touched weights have other values than the delta's base")
    target = Placed.of(destination, f"{base.source.name}-spin")
    inputs = (base.source.folder, delta_path, hub_cache())
    target.check(inputs, base.copy_bytes + SMALL_OUTPUT)
    here = record_of(base, reporter)
    _check_same_shards(model, delta.base, here)
    known = ModelRecord(
        name=record.model.name if record else here.name,
        repo_id=delta.base.repo_id,
        commit=delta.base.commit,
        files=here.files,
        left_out=here.left_out,
        card=here.card,
    )
    provenance = Provenance(known, None, None)
    if record is not None:
        provenance = Provenance(known, record.scoring, record.result.candidates, record.evaluation)
    rebased = Delta(delta.edits, base_ref(known), delta.method)
    return write_model_folder(target, base, rebased, provenance, reporter)


def _nothing_to_do(delta_path: Path, delta: Delta, record: Record | None) -> Outcome:
    if record is not None:
        return Outcome(None, record)
    base = ModelRecord("unknown", delta.base.repo_id, delta.base.commit, delta.base.files)
    digest = sha256(find_delta(delta_path), lambda _: None)
    return Outcome(None, describe("model", delta, Provenance(base, None, None), digest))


def _check_same_shards(model: str, base: BaseRef, here: ModelRecord) -> None:
    recorded, found = shard_digests(base.files), shard_digests(here.files)
    for name in sorted(recorded.keys() | found.keys()):
        if recorded.get(name) != found.get(name):
            raise DeltaMismatch(path=model, why=f"its {name} is not the file that the delta was made for (sha256)")
