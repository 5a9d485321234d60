"""reproduce: the same delta again, from its record alone."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import open_base
from spin_hub.artifacts.container import checked
from spin_hub.artifacts.delta_file import NAME, write_delta
from spin_hub.artifacts.open import fetch_delta, find_delta
from spin_hub.checkpoint.digests import sha256
from spin_hub.core.delta import Delta
from spin_hub.core.files import README
from spin_hub.core.json import differing
from spin_hub.errors import NotReproducible, SourceError, UsageError
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.recipe import BY_DEFAULT, Device, ScoringRecipe, SelectionRecipe
from spin_hub.record import Record, ScoringRecord
from spin_hub.scoring.inputs import ScoringInputs, prepare
from spin_hub.scoring.score import Job, score_prepared
from spin_hub.scoring.scores import score_named
from spin_hub.scoring.selecting import check_ratios, check_recipe, delta_from
from spin_hub.versions import DECIDE_TOKENS, versions


@dataclass(frozen=True)
class TensorDifference:
    """Of one tensor: weights that only the recorded delta has, and that only the new one has."""

    missing: int
    extra: int


@dataclass(frozen=True)
class Reproduction:
    """The comparison of a delta with the one that was made again.

    Attributes:
        name: what was reproduced.
        weights: how many the recorded delta has; shared: how many of them the new one has too.
        tensors: the tensors that differ.
        file_equal: whether the new delta file is the recorded one, byte by byte.
        versions: package -> what the record has and what is here, where the two differ.
    """

    name: str
    weights: int
    shared: int
    tensors: Mapping[str, TensorDifference]
    file_equal: bool
    versions: Mapping[str, tuple[str, str]]

    @property
    def equal(self) -> bool:
        """True if the weights are the same."""
        return not self.tensors

    @property
    def missing(self) -> int:
        """Weights of the recorded delta that the new one lacks."""
        return sum(entry.missing for entry in self.tensors.values())

    @property
    def extra(self) -> int:
        """Weights that only the new one has."""
        return sum(entry.extra for entry in self.tensors.values())

    def to_json(self) -> dict[str, Any]:
        """The JSON object that the command line prints."""
        return {**asdict(self), "equal": self.equal, "missing": self.missing, "extra": self.extra}


def reproduce(
    artefact: str | Path,
    base: str | Path | None = None,
    sets: Mapping[str, str] | None = None,
    device: Device | None = None,
    reporter: Reporter = SILENT,
) -> Reproduction:
    """Score and select again as the record says, and compare; nothing is kept.

    Args:
        artefact: an edited model, a delta or an adapter: a folder, a file beside its record, or a Hub id.
        base: the base, if the record names a local folder.
        sets: name -> SPEC, for calibration sets that were local files.
        device: another device than the recorded one.
        reporter: called with progress.

    Raises:
        NotReproducible: there is no record that says how, or the base or a set is not the recorded one.
        SpinHubError: anything wrong with the model, the sets or the machine.
    """
    name = str(artefact)
    delta, record, scoring = _recorded(name, reporter)
    selection = checked(Path(name), lambda: SelectionRecipe.from_json(record.method))
    check_recipe(selection, tuple(scoring.recipe.sets), scoring.recipe)
    model = open_base(str(base or _base_of(name, record)), reporter)
    recipe = _recipe(scoring, dict(sets or {}), device)
    try:
        prepared = prepare(model, recipe, reporter, selection.part)
    except SourceError as error:
        missing = error.facts.get("name")
        if missing not in scoring.recipe.sets or missing in (sets or {}):
            raise
        # The source is the record's: a local file that has moved, or a data set that is gone.
        hint = f"Name the file of its rows with --set {missing}=FILE."
        raise NotReproducible(name=name, why=error.message.rstrip("."), hint=hint) from error
    _check_base(name, record, prepared)
    _check_sets(name, scoring, prepared)
    check_ratios(prepared.shapes, selection)
    keep = max(selection.all_ratios.values())
    # The name is untrusted; finished layers are kept beside it until the scoring ends.
    place = Placed.of(BY_DEFAULT, f"{record.model.name}-reproduced").path
    job = Job(place.absolute(), keep)
    scored = score_prepared(prepared, job, reporter)
    with step(reporter, "Choosing the weights"):
        found = delta_from(scored.content, selection, model if selection.entry.draws else None)
    scored.partial.remove()
    # The new delta names the model that it was made for here; the file is the same only with the recorded name.
    same_file = replace(found, base=delta.base)
    with step(reporter, "Comparing the deltas"):
        return Reproduction(
            name=name,
            weights=delta.weights,
            shared=(delta.selection & found.selection).weights,
            tensors=_differences(delta, found),
            file_equal=_sha256(same_file) == record.result.delta_sha256,
            versions=_other_versions(scoring.environment),
        )


def _recorded(artefact: str, reporter: Reporter) -> tuple[Delta, Record, ScoringRecord]:
    source, delta, record = fetch_delta(artefact, reporter)
    why = None
    if record is None:
        why = f"no record that belongs to {find_delta(source.path).name} lies beside it"
    elif record.applied:
        base = record.applied.get("base", {})
        why = f"it was chosen on {base.get('repo_id') or base.get('name')}, and applied to this model; take that delta"
    elif record.scoring is None:
        why = "its record does not say how its weights were scored"
    if why or record is None or record.scoring is None:
        raise NotReproducible(name=artefact, why=why)
    return delta, record, record.scoring


def _base_of(artefact: str, record: Record) -> str:
    model = record.model
    if model.pinned is None:
        raise UsageError(message=f"The base of {artefact} was a local folder, {model.name}: name it with --base.")
    return model.pinned


def _recipe(scoring: ScoringRecord, given: dict[str, str], device: Device | None) -> ScoringRecipe:
    """Return the recorded recipe with the local files that are given in place of its own."""
    recipe = scoring.recipe
    score_named(recipe.score, scoring.score)
    unknown = [name for name in given if name not in recipe.sets]
    if unknown:
        raise UsageError(message=f"The record has no set {unknown[0]!r} (it has: {', '.join(recipe.sets)}).")
    return replace(recipe, sets={**recipe.sets, **given}, device=device or recipe.device)


def _check_base(artefact: str, record: Record, prepared: ScoringInputs) -> None:
    """The files that decide the outcome; a README does not."""
    known, here = (
        {k: v for k, v in files.items() if k != README} for files in (record.model.files, prepared.model.files)
    )
    different = differing(known, here)
    if different:
        others = f" and {len(different) - 1} more" if len(different) > 1 else ""
        why = f"{different[0]}{others} of {prepared.base.source.name} is another file than the recorded one (sha256)"
        raise NotReproducible(name=artefact, why=why)


def _check_sets(artefact: str, scoring: ScoringRecord, prepared: ScoringInputs) -> None:
    here = {entry.name: entry for entry in prepared.record.sets}
    for entry in scoring.sets:
        if here[entry.name].rows_sha256 != entry.rows_sha256:
            why = f"the set {entry.name!r} ({entry.source}) holds other rows than the recorded ones"
            raise NotReproducible(name=artefact, why=why)
        if here[entry.name].examples_sha256 != entry.examples_sha256:
            raise _other_tokens(artefact, entry.name, scoring)


def _other_tokens(artefact: str, name: str, scoring: ScoringRecord) -> NotReproducible:
    why = f"the rows of the set {name!r} are the recorded ones, but their tokens are not"
    recorded = {package: scoring.environment[package] for package in DECIDE_TOKENS if package in scoring.environment}
    others = {package: pair for package, pair in _other_versions(scoring.environment).items() if package in recorded}
    if not others:
        return NotReproducible(name=artefact, why=why)
    said = " and ".join(f"{package} {made} made them, {here} is here" for package, (made, here) in others.items())
    install = " ".join(f"{package}=={made}" for package, (made, _) in others.items())
    return NotReproducible(name=artefact, why=f"{why}: {said}", hint=f"Install what made them: pip install {install}")


def _differences(recorded: Delta, found: Delta) -> dict[str, TensorDifference]:
    missing, extra = recorded.selection - found.selection, found.selection - recorded.selection
    names = sorted({name for name, _ in missing} | {name for name, _ in extra})
    return {name: TensorDifference(len(missing.of(name)), len(extra.of(name))) for name in names}


def _sha256(delta: Delta) -> str:
    with tempfile.TemporaryDirectory(prefix="spin-hub-", ignore_cleanup_errors=True) as place:
        path = Path(place, NAME)
        write_delta(path, delta)
        return sha256(path)


def _other_versions(recorded: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    here = versions()
    names = sorted(recorded.keys() | here.keys())
    both = {name: (recorded.get(name, "-"), here.get(name, "-")) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}
