"""verify: an edited model is its base with the delta's weights set to zero, byte for byte, or what differs is told."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from spin_hub.artifacts.open import fetch_delta
from spin_hub.artifacts.verification import Difference, Store, Verification
from spin_hub.errors import HubSilent
from spin_hub.hub.store import why_no_commit
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.verify.artifact import Subject, open_base, opened
from spin_hub.verify.files import Kept, added, added_beside, base_rows, file_rows
from spin_hub.verify.place_rows import place_rows
from spin_hub.verify.record import card_rows, delta_rows, record_rows
from spin_hub.verify.shard_rows import Weights, shard_rows, weights_of


@dataclass(frozen=True)
class VerifyOptions:
    """How an edit is verified.

    Attributes:
        base: a folder or Hub id; None takes the one that the delta names.
        delta: that must be the edit's own; None takes that.
        quick: look at headers and touched places alone.
    """

    base: str | None = None
    delta: str | None = None
    quick: bool = False


_USUAL: Final = VerifyOptions()


def verify(edited: str | Path, options: VerifyOptions = _USUAL, reporter: Reporter = SILENT) -> Verification:
    """Compares an edited model with its base and its delta, here or on the Hub.

    Nothing is downloaded to keep, but for the config of an adapter's base, which goes to the Hub's cache.

    In full every byte counts: an edited shard must be the base's with the delta's weights set to zero. Of a repo on
    the Hub the sha256 that it knows of its shards stands for them. Config, tokenizer, index, the record and the card
    are compared too. Of a delta the record, the card and the base's original values are; of an adapter also its config
    and its tensors, with those that the delta gives.

    Args:
        edited: an edited model, a delta or an adapter: a folder or a Hub id.
        options: with which base and delta, and whether quickly.
        reporter: told of progress.

    Returns:
        What differs, if anything.

    Raises:
        ArtefactNotFound: there is no such edit.
        BaseNotNamed, ModelNotFound, AccessDenied, HubSilent: its base cannot be compared.
        DeltaMismatch: the delta does not fit the base at all.
        CorruptFile: a file is damaged so that nothing can be compared.
        MissingDependency, PeftTooOld, ModelNotLoadable: an adapter cannot be made again here.
    """
    with ExitStack() as stack:
        with step(reporter, "Fetching the edit"):
            subject = stack.enter_context(opened(str(edited)))
            rows = [*record_rows(subject)]
        if options.delta:
            _, given, _ = fetch_delta(options.delta, reporter)
            rows += delta_rows(subject, given)
            subject = replace(subject, delta=given)
        with step(reporter, "Looking at the base"):
            base = open_base(options.base, str(edited), subject.delta)
            weights = weights_of(base, subject.store if subject.kind == "model" else None, subject.delta)
            told, notes = _told(subject, base)
        kept = Kept(subject, base, weights.shards, options.quick)
        with step(reporter, "Comparing the files"):
            filed, remarks = _files(kept, weights)
        with step(reporter, "Making the adapter again"):
            own, adapted = _adapter(subject, _named(base))
        checked, weighed = _weights(weights, options.quick, reporter)
        return Verification(
            edited=_named(subject.store),
            base=_named(base),
            kind=subject.kind,
            quick=options.quick,
            places=subject.delta.weights,
            checked=checked,
            files=len(kept.names) if weights.edited else len(own),
            differences=(*rows, *told, *filed, *adapted, *weighed),
            notes=(*notes, *remarks, *_hint(weights, options.quick, weighed)),
        )


def _files(kept: Kept, weights: Weights) -> tuple[list[Difference], list[str]]:
    """What differs in the files beside the shards, and in the digests of the base."""
    names = kept.names if kept.quick else [name for name in kept.names if name not in weights.shards]
    rows = [*base_rows(kept, names)]
    if weights.edited is None:
        more, notes = added_beside(kept.subject)
        return [*rows, *more], notes
    more, notes = added(kept)
    return [*rows, *file_rows(kept), *more, *weights.size_rows()], notes


def _adapter(subject: Subject, base: str) -> tuple[tuple[str, ...], list[Difference]]:
    """An adapter's own files, and what differs in them; all of a verification that needs torch."""
    if subject.kind not in ("peft", "lora"):
        return (), []
    from spin_hub.verify.adapter import FILES, adapter_rows

    return FILES, adapter_rows(subject, base)


def _weights(weights: Weights, quick: bool, reporter: Reporter) -> tuple[int, list[Difference]]:
    if not quick:
        return weights.delta.weights, shard_rows(weights, reporter)
    looked = place_rows(weights, reporter)
    return looked.checked, looked.rows


def _hint(weights: Weights, quick: bool, rows: list[Difference]) -> list[str]:
    """Of a shard that is known by its digest alone nothing says where it differs."""
    edited = weights.edited
    if quick or edited is None or not any(row.what == "weights" and edited.known(row.file).sha256 for row in rows):
        return []
    return ["Where these shards differ was not looked at: --quick reads their touched weights."]


def _told(subject: Subject, base: Store) -> tuple[list[Difference], list[str]]:
    """What the card says, and whether the commit exists at which the delta was made."""
    rows, notes = card_rows(subject)
    known = subject.delta.base
    if known.repo_id is None or known.commit is None or (base.repo_id, base.commit) == (known.repo_id, known.commit):
        return rows, notes
    try:
        why = why_no_commit(known.repo_id, known.commit)
    except HubSilent as error:
        return rows, [*notes, f"Whether the delta's base is on the Hub was not found out. {error.message}"]
    if why:
        rows.append(Difference("base", f"{known.repo_id}@{known.commit[:12]}", "a commit on the Hub", why))
    return rows, notes


def _named(store: Store) -> str:
    return f"{store.repo_id}@{store.commit}" if store.repo_id else store.label
