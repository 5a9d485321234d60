"""verify: check that an edited model is its base with the delta's weights set to zero, byte for byte."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from spin_hub.artifacts.open import fetch_delta
from spin_hub.artifacts.publish import PushOptions
from spin_hub.artifacts.verification import Difference, Verification
from spin_hub.artifacts.write import Outcome
from spin_hub.checkpoint.store import FileStore
from spin_hub.errors import BaseNotNamed, HubSilent, SpinHubError
from spin_hub.exports.base import EXPORTS
from spin_hub.hub.resolve import ModelSource
from spin_hub.hub.store import why_no_commit
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.verification.artifact import Artifact, open_artifact, open_base
from spin_hub.verification.files import Comparison, added, added_beside, base_rows, file_rows
from spin_hub.verification.places import place_rows
from spin_hub.verification.record import card_rows, delta_rows, record_rows
from spin_hub.verification.weights import Weights, shard_rows, weights_of


def verify(
    edited: str | Path,
    base: str | Path | None = None,
    delta: str | Path | None = None,
    quick: bool = False,
    reporter: Reporter = SILENT,
) -> Verification:
    """Compare an edited model with its base and its delta, here or on the Hub.

    Nothing is downloaded to keep, but for the config of an adapter's base, which goes to the Hub's cache.

    In full every byte counts: an edited shard must be the base's with the delta's weights set to zero. Of a repo on
    the Hub the sha256 that it knows of its shards replaces them. Config, tokenizer, index, the record and the card
    are compared too. Of a delta the record, the card and the base's original values are; of an adapter also its config
    and its tensors.

    Args:
        edited: an edited model, a delta or an adapter: a folder or a Hub id.
        base: a folder or Hub id, or None for the base that the delta names.
        delta: the delta that the edit must have, or None for the edit's own.
        quick: read headers and touched weights alone.
        reporter: called with progress.

    Returns:
        The differences, if any.

    Raises:
        ArtefactNotFound: the edit does not exist.
        BaseNotNamed, ModelNotFound, AccessDenied, HubSilent: its base cannot be compared.
        DeltaMismatch: the delta does not fit the base at all.
        CorruptFile: a file is damaged so that nothing can be compared.
        MissingDependency, ModelNotLoadable, SpinHubError: an adapter cannot be made again here.
    """
    with ExitStack() as stack:
        with step(reporter, "Fetching the edit"):
            artifact = stack.enter_context(open_artifact(str(edited)))
            rows = [*record_rows(artifact)]
        if delta:
            _, given, _ = fetch_delta(str(delta), reporter)
            rows += delta_rows(artifact, given)
            artifact = replace(artifact, delta=given)
        with step(reporter, "Looking at the base"):
            source = open_base(None if base is None else str(base), str(edited), artifact.delta)
            weights = weights_of(source, artifact.store if artifact.facts.whole else None, artifact.delta)
            claimed, notes = _claims(artifact, source)
        comparison = Comparison(artifact, source, weights.shards, quick)
        with step(reporter, "Comparing the files"):
            filed, remarks = _files(comparison, weights)
        with step(reporter, "Making the adapter again"):
            adapted = _own(artifact, _named(source))
        checked, weighed = _weights(weights, quick, reporter)
        return Verification(
            edited=_named(artifact.store),
            base=_named(source),
            kind=artifact.kind,
            quick=quick,
            places=artifact.delta.weights,
            checked=checked,
            files=len(comparison.names) if weights.edited else len(artifact.facts.files),
            differences=(*rows, *claimed, *filed, *adapted, *weighed),
            notes=(*notes, *remarks, *_hint(weights, quick, weighed)),
        )


def verified(outcome: Outcome, options: PushOptions, base: ModelSource | None, reporter: Reporter) -> Outcome:
    """Return the outcome of a push with a quick verification of its commit.

    The push has happened, so a failure of the verification is a warning.

    Args:
        outcome: of the push.
        options: may turn it off.
        base: the base, if at hand; a Hub base is looked up on the Hub and read from the cache.
        reporter: called with progress.
    """
    pushed = outcome.pushed
    if pushed is None or not options.verify:
        return outcome
    folder = str(base.folder) if base and base.repo_id is None else None
    name = f"{pushed.repo_id}@{pushed.commit}"
    try:
        found = verify(name, folder, quick=True, reporter=reporter)
    except BaseNotNamed:
        command = f"`spin-hub verify {pushed.repo_id} --base FOLDER`"
        reporter.note(f"{pushed.repo_id} was not verified, since its base is a local folder: {command} does it.")
        return outcome
    except (SpinHubError, OSError) as error:
        why = error.message if isinstance(error, SpinHubError) else str(error)
        return replace(outcome, warnings=(*outcome.warnings, f"{name} was pushed, but not verified. {why}"))
    return replace(outcome, verification=found)


def _files(comparison: Comparison, weights: Weights) -> tuple[list[Difference], list[str]]:
    """Compare the files beside the shards, and the digests of the base."""
    names = comparison.names if comparison.quick else [name for name in comparison.names if name not in weights.shards]
    rows = [*base_rows(comparison, names)]
    if weights.edited is None:
        more, notes = added_beside(comparison.artifact)
        return [*rows, *more], notes
    more, notes = added(comparison)
    return [*rows, *file_rows(comparison), *more, *weights.size_rows()], notes


def _own(artifact: Artifact, base: str) -> list[Difference]:
    """Compare the files that its kind alone has; of an adapter that needs torch."""
    if artifact.record is None or not artifact.facts.files:
        return []
    return EXPORTS[artifact.kind].verify(artifact.record, artifact.delta, artifact.store, base)


def _weights(weights: Weights, quick: bool, reporter: Reporter) -> tuple[int, list[Difference]]:
    if not quick:
        return weights.delta.weights, shard_rows(weights, reporter)
    looked = place_rows(weights, reporter)
    return looked.checked, looked.rows


def _hint(weights: Weights, quick: bool, rows: list[Difference]) -> list[str]:
    """Say what was not read, and how to find the place if a shard differs that is known by its digest alone."""
    edited = weights.edited
    if edited and quick:
        return ["Of the weights, headers and the touched places alone were read; without --quick every byte is."]
    if edited is None or not any(row.what == "weights" and edited.known(row.file).sha256 for row in rows):
        return []
    command = (
        f"`hf download {edited.repo_id} --revision {edited.commit} --local-dir FOLDER`, then `spin-hub verify FOLDER`"
    )
    return [f"Only the sha256 of these shards was compared; {command} says which weights differ."]


def _claims(artifact: Artifact, base: FileStore) -> tuple[list[Difference], list[str]]:
    """Compare the card, and check that the commit exists at which the delta was made."""
    rows, notes = card_rows(artifact)
    known = artifact.delta.base
    if known.repo_id is None or known.commit is None or (base.repo_id, base.commit) == (known.repo_id, known.commit):
        return rows, notes
    try:
        why = why_no_commit(known.repo_id, known.commit)
    except HubSilent as error:
        return rows, [*notes, f"Whether the delta's base is on the Hub was not found out. {error.message}"]
    if why:
        rows.append(Difference("base", f"{known.repo_id}@{known.commit[:12]}", "a commit on the Hub", why))
    return rows, notes


def _named(store: FileStore) -> str:
    return f"{store.repo_id}@{store.commit}" if store.repo_id else store.label
