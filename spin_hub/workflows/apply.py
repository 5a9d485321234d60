"""apply: a delta becomes an edited copy of its base, or of a variant of it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from spin_hub.artifacts import publish
from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import open_base
from spin_hub.artifacts.open import fetch_delta, record_at
from spin_hub.artifacts.publish import PushOptions, most_to_upload
from spin_hub.artifacts.rebase import Opened, rebase
from spin_hub.artifacts.write import Outcome, default_name, describe, needed_bytes, write_model_folder
from spin_hub.checkpoint.compat import Fit, fit_of, refusal
from spin_hub.errors import DeltaMismatch
from spin_hub.hub.base_models import architecture_difference
from spin_hub.hub.cache import hub_cache
from spin_hub.hub.token import account
from spin_hub.kinds import MODEL
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.recipe import BY_DEFAULT, Destination
from spin_hub.record import ModelRecord, Record
from spin_hub.workflows.verify import verified


@dataclass(frozen=True)
class ApplyOptions:
    """Options of applying a delta.

    Attributes:
        force: apply it also to a model that does not seem to come from the base, or to a base that has changed.
        plan: look at the fit, and write nothing.
        push: where to publish the result; None keeps it here.
    """

    force: bool = False
    plan: bool = False
    push: PushOptions | None = None


_USUAL: Final = ApplyOptions()


def apply(
    delta: str | Path,
    model: str | Path,
    destination: Destination = BY_DEFAULT,
    options: ApplyOptions = _USUAL,
    reporter: Reporter = SILENT,
) -> Outcome:
    """Write a copy of a model with a delta's weights set to zero.

    On the delta's own base this is the edit that was published. On a variant the same positions become zero, whatever
    is there; the variant's own values are kept in the delta of the copy, so that it can be reverted to the variant.

    Args:
        delta: a delta file, a delta folder, an edited model, or the Hub id of one of them.
        model: the delta's base or a variant of it, a folder or Hub id.
        destination: ``./<model name>-spin`` by default.
        options: whether to go past refusals, only to look, or to publish.
        reporter: called with progress.

    Returns:
        The outcome; its output is None, and nothing was written, if every weight of the delta is zero already or
        only a plan was asked for.

    Raises:
        DeltaMismatch: the delta cannot be applied to this model.
        Unrelated, BaseChanged: it can, but hardly should; ``force`` goes past it.
        SpinHubError: anything else wrong with the delta, the model, the output or the Hub.
    """
    # A token that cannot push is refused before anything is downloaded.
    who = account() if options.push else None
    opened = _open(str(delta), str(model), reporter)
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
    target = Placed.of(destination, default_name(base.source.name, base.card, MODEL.name))
    publication = None
    if who and options.push:
        publication = publish.prepare(who, options.push, MODEL.name, base.subject, reporter)
    if not (options.plan or (publication and target.path.is_dir())):
        _check_target(target, opened)
    rebased, record = rebase(opened, options.force, reporter)
    if options.plan:
        upload = most_to_upload(publication, base, MODEL.name) if publication else 0
        planned = (publication.repo_id, publication.visibility, upload) if publication else None
        return replace(Outcome(None, record), fit=fit, planned=planned)
    if publication is None:
        return replace(write_model_folder(target, base, rebased, record, reporter), fit=fit)
    publish.check_card(publication, record)
    outcome = _finished(target, record)
    if outcome is None:
        _check_target(target, opened)
        outcome = write_model_folder(target, base, rebased, record, reporter)
    else:
        reporter.note(f"{target.path} holds this very edit already; it is pushed as it is.")
    pushed = publish.publish(publication, target.path, outcome.record, reporter)
    return verified(replace(outcome, fit=fit, pushed=pushed), publication.options, base.source, reporter)


def _open(delta: str, model: str, reporter: Reporter) -> Opened:
    source, found, record = fetch_delta(delta, reporter)
    base = open_base(model, reporter)
    with step(reporter, "Comparing the delta with the model"):
        return Opened(model, source, found, record, base, fit_of(base.index, found))


def summary(fit: Fit) -> str:
    """Return how a delta fits, in a sentence."""
    text = f"The delta's {fit.weights:,} weights in {fit.expected:,} tensors: {fit.equal:,} are the base's"
    if fit.zero:
        text += f", {fit.zero:,} are zero"
    if fit.changed:
        drift = fit.changed_drift
        text += f", {fit.changed:,} were changed" + ("" if drift is None else f" (by {drift:.2%} in the median)")
    absent = fit.expected - fit.found
    return text + (f", and {absent:,} tensors are missing." if absent else ".")


def _other_architecture(opened: Opened) -> str | None:
    """Return the difference of the recorded base's architecture and the model's, if any."""
    known = opened.record.model.model_type if opened.record else None
    return architecture_difference({"model_type": known}, opened.base.index.config) if known else None


def _check_target(target: Placed, opened: Opened) -> None:
    base = opened.base
    target.check((base.source.folder, opened.source.path, hub_cache()), needed_bytes(base, MODEL.name))


def _nothing(opened: Opened) -> Outcome:
    if opened.record is not None:
        return Outcome(None, opened.record)
    delta = opened.delta
    base = ModelRecord("unknown", delta.base.repo_id, delta.base.commit, delta.base.files)
    return Outcome(None, describe(MODEL.name, delta, base))


def _finished(target: Placed, record: Record) -> Outcome | None:
    """The outcome of an earlier run of this request that is at the target, or None."""
    found = record_at(target.path)
    if found is None:
        return None
    expected = replace(record, result=replace(record.result, delta_sha256=found.result.delta_sha256))
    return Outcome(target.path, found) if found.to_json() == expected.to_json() else None
