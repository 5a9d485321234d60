"""combine: two deltas of one base become a third."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.open import fetch_delta, find_delta
from spin_hub.artifacts.write import Outcome, default_name, describe, write_delta_folder
from spin_hub.checkpoint.digests import sha256
from spin_hub.core.algebra import How, check_one_base
from spin_hub.core.algebra import combine as combined
from spin_hub.core.delta import Delta
from spin_hub.errors import EmptySelection
from spin_hub.hub.cache import hub_cache
from spin_hub.hub.resolve import Artefact
from spin_hub.kinds import DELTA
from spin_hub.model_cards.render import sets_of
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.recipe import BY_DEFAULT, Destination
from spin_hub.record import ModelRecord, Record


@dataclass(frozen=True)
class OpenedDelta:
    """A delta by name, with its record where there is one."""

    source: Artefact
    delta: Delta
    record: Record | None


def open_pair(a: str | Path, b: str | Path, reporter: Reporter = SILENT) -> tuple[OpenedDelta, OpenedDelta]:
    """Two deltas of one base, each a file, a folder, an edited model, or the Hub id of one.

    Raises:
        BasesDiffer: they are not of one base.
        SpinHubError: one is not there, or damaged.
    """
    first, second = _open(a, reporter), _open(b, reporter)
    check_one_base(first.delta, second.delta)
    return first, second


def combine(
    a: str | Path, b: str | Path, how: How, destination: Destination = BY_DEFAULT, reporter: Reporter = SILENT
) -> Outcome:
    """Write the delta of the weights that two deltas share, that either has, or that only the first has.

    Its record names the two deltas with their methods, their calibration sets and those sets' licences. What was
    measured of the two says nothing of it, so it has no evidence.

    Args:
        a, b: deltas or edited models: files, folders or Hub ids.
        how: ``and``, ``or``, or ``sub`` for the weights of a that b does not have.
        destination: the delta's folder; ``./<model name>-spin-delta`` by default.
        reporter: called with progress.

    Raises:
        BasesDiffer: the two are not of one base.
        EmptySelection: no weight is left.
        SpinHubError: anything wrong with the deltas or the output.
    """
    first, second = open_pair(a, b, reporter)
    with step(reporter, "Combining the deltas"):
        delta = combined(first.delta, second.delta, how)
        origins = {"a": _origin(first), "b": _origin(second)}
    model = _model(first, second, delta)
    target = Placed.of(destination, default_name(model.name, model.card, DELTA.name))
    target.check((first.source.path, second.source.path, hub_cache()))
    if not delta.weights:
        counts = f"a has {first.delta.weights:,} weights, b has {second.delta.weights:,}"
        expression = delta.method["expression"]
        advice = "See how they overlap with `spin-hub diff`."
        raise EmptySelection(counts=f"{counts}, but '{expression}' leaves none", advice=advice)
    delta = replace(delta, method={**delta.method, "deltas": origins})
    return write_delta_folder(target, None, delta, describe(DELTA.name, delta, model), reporter)


def _open(name: str | Path, reporter: Reporter) -> OpenedDelta:
    return OpenedDelta(*fetch_delta(str(name), reporter))


def _model(first: OpenedDelta, second: OpenedDelta, delta: Delta) -> ModelRecord:
    """The base as the two know it: from a record that has it, with the fuller reference of the two."""
    known = next((entry.record.model for entry in (first, second) if entry.record), ModelRecord("unknown"))
    base = delta.base
    name = base.repo_id.rpartition("/")[2] if base.repo_id else known.name
    return replace(known, name=name, repo_id=base.repo_id, commit=base.commit, files=base.files)


def _origin(entry: OpenedDelta) -> Mapping[str, Any]:
    """The origin of one of the two, never a local path, and what its weights were chosen on."""
    return {
        "repo_id": entry.source.repo_id,
        "commit": entry.source.commit,
        "sha256": sha256(find_delta(entry.source.path)),
        "weights": entry.delta.weights,
        "sets": sets_of(entry.record) if entry.record else [],
    }
