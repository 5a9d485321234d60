"""Comparison of the files beside the shards: those that an edited copy keeps, and those that were added."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from spin_hub.artifacts.verification import Difference
from spin_hub.artifacts.write import BASE_README, NOTICE
from spin_hub.checkpoint.store import FileStore, Identity
from spin_hub.core.files import DELTA, README, SHARDED, SINGLE, SPIN, Contents, is_licence, split_names
from spin_hub.model_cards.heat_map import HEAT_MAP
from spin_hub.model_cards.licences import terms_of
from spin_hub.record import NAME as RECORD
from spin_hub.verification.artifact import Artifact

# Files that a loader prefers to the shards, or loads beside them.
LOADED: Final = frozenset(
    {"model.safetensors", "model.safetensors.index.json", "adapter_config.json", "adapter_model.safetensors"}
)
# Weight and config files that a loader would pick up from a delta repo.
_TAKEN: Final = LOADED | {"config.json", "adapter_model.bin", "pytorch_model.bin", "pytorch_model.bin.index.json"}


@dataclass(frozen=True)
class Comparison:
    """A base and the edit that is compared with it.

    Attributes:
        artifact, base: the two sides.
        shards: of the base.
        quick: do not read large files.
    """

    artifact: Artifact
    base: FileStore
    shards: tuple[str, ...]
    quick: bool

    @cached_property
    def contents(self) -> Contents:
        """The base's files, sorted into kept and left out."""
        return split_names(self.base.sizes, self.shards if SINGLE in self.shards else [*self.shards, SHARDED])

    @cached_property
    def names(self) -> list[str]:
        """All files of the base: those that it has, and those that the delta knows."""
        return sorted({*self.contents.proven, *self.artifact.delta.base.files})


def base_rows(comparison: Comparison, names: Iterable[str]) -> Iterator[Difference]:
    """Compare the base's files with the digests that the delta recorded."""
    recorded, base = comparison.artifact.delta.base.files, comparison.base
    for name in names:
        if name in recorded and name in base.sizes:
            known = base.known(name).sha256
            if known is None and not (comparison.quick and base.local(name) is None):
                known = base.sha256(name)
            if known and known != recorded[name]:
                yield Difference("base", name, f"sha256 {recorded[name][:12]}", f"sha256 {known[:12]}")
        elif name in recorded:
            yield Difference("base", name, f"sha256 {recorded[name][:12]}", "no such file")
        elif base.repo_id:
            yield Difference("delta", name, "the base's file in the delta's list", "not named")


def file_rows(comparison: Comparison) -> Iterator[Difference]:
    """Compare config, tokenizer, code, index and the kept README with the base's."""
    edited, base = comparison.artifact.store, comparison.base
    for name in comparison.names:
        here = f"{SPIN}/{BASE_README}" if name == README else name
        if here not in edited.sizes:
            unknown = name not in comparison.artifact.delta.base.files and base.repo_id is None
            if not unknown:
                yield Difference("missing", here, "the base's file", "no such file")
        elif name in base.sizes and name not in comparison.shards:
            yield from _same(here, (base, name), (edited, here))


def added(comparison: Comparison) -> tuple[list[Difference], list[str]]:
    """Find files of neither the base nor the edit: a row if a loader would take them, otherwise a note."""
    record = comparison.artifact.record
    ours = {README, *(f"{SPIN}/{name}" for name in (DELTA, RECORD, BASE_README, HEAT_MAP))}
    if record and (terms := terms_of(record.model.card)) and terms.notice:
        ours.add(NOTICE)
    ours.update(comparison.names)
    others = [name for name in comparison.artifact.store.sizes if name not in ours]
    rows, notes = _others(others, LOADED)
    unknown = [name for name in comparison.contents.proven if name not in comparison.artifact.delta.base.files]
    if record and record.model.left_out:
        notes.append(f"Left out of the edited copy, and not compared: {_list(sorted(record.model.left_out))}.")
    if unknown and comparison.base.repo_id is None:
        notes.append(f"The base's folder has files that the delta does not know: {_list(unknown)}.")
    return rows, notes


def added_beside(artifact: Artifact) -> tuple[list[Difference], list[str]]:
    """Find added files in a delta or an adapter, beside which no file of a model belongs."""
    own = {README, NOTICE, *(f"{artifact.folder}{name}" for name in (DELTA, RECORD, HEAT_MAP))}
    own.update(artifact.facts.files)
    return _others([name for name in artifact.store.sizes if name not in own and not is_licence(name)], _TAKEN)


def _others(names: list[str], taken: frozenset[str]) -> tuple[list[Difference], list[str]]:
    """Return a row for every file that loaders take, and a note of all others."""
    rows = [Difference("added", name, "no such file", "a file that loaders take") for name in names if name in taken]
    named = [name for name in names if name not in taken]
    return rows, [f"Added since, and not compared: {_list(named)}."] if named else []


def _same(name: str, base: tuple[FileStore, str], edited: tuple[FileStore, str]) -> Iterator[Difference]:
    known = [store.known(path) for store, path in (base, edited)]
    equal = known[0].same_as(known[1])
    if equal is None:
        known = [_read(store, path, other) for (store, path), other in zip((base, edited), known[::-1], strict=True)]
        equal = known[0].same_as(known[1])
    if not equal:
        yield Difference("file", name, known[0].text, known[1].text)


def _read(store: FileStore, name: str, other: Identity) -> Identity:
    """Return a file's identity, with a digest that is comparable with the other side's."""
    known = store.known(name)
    comparable = (known.sha256 and not other.blob_id) or (known.blob_id and not other.sha256)
    return known if comparable else store.identity(name)


def _list(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6:,} more" if len(names) > 6 else "")
