"""The files of a base that an edited copy keeps: all there and the same, and what was added beside them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from spin_hub.artifacts.verification import Difference
from spin_hub.artifacts.write import BASE_README, NOTICE
from spin_hub.checkpoint.file_store import FileStore
from spin_hub.checkpoint.store import Identity
from spin_hub.core.files import DELTA, README, SPIN, Contents, is_licence, split_names
from spin_hub.model_cards.licences import terms_of
from spin_hub.model_cards.render import HEAT_MAP
from spin_hub.record import NAME as RECORD
from spin_hub.verify.artifact import Artifact

LOADED: Final = frozenset(
    {"model.safetensors", "model.safetensors.index.json", "adapter_config.json", "adapter_model.safetensors"}
)
"""Files that a loader takes before or beside the shards, wherever they come from."""
_TAKEN: Final = LOADED | {"config.json", "adapter_model.bin", "pytorch_model.bin", "pytorch_model.bin.index.json"}
"""Files that a loader takes where there should be no model."""


@dataclass(frozen=True)
class Comparison:
    """What is compared of a base.

    Attributes:
        artifact, base: the two sides.
        shards: of the base.
        quick: whether no large file is read.
    """

    artifact: Artifact
    base: FileStore
    shards: tuple[str, ...]
    quick: bool

    @cached_property
    def contents(self) -> Contents:
        """The base's files, sorted into kept and left out."""
        return split_names(self.base.sizes, self.shards)

    @cached_property
    def names(self) -> list[str]:
        """All files that are the base's own: those that it has, and those that the delta knows."""
        return sorted({*self.contents.proven, *self.artifact.delta.base.files})


def base_rows(comparison: Comparison, names: Iterable[str]) -> Iterator[Difference]:
    """Where a base is not the one that the delta was made for, by its recorded digests."""
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
    """Where config, tokenizer, code, index or the kept README are not the base's."""
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
    """Files that neither the base nor the edit brought: a row where a loader takes them, else a note."""
    record = comparison.artifact.record
    ours = {README, *(f"{SPIN}/{name}" for name in (DELTA, RECORD, BASE_README, HEAT_MAP))}
    if record and (terms := terms_of(record.model.card)) and terms.notice:
        ours.add(NOTICE)
    ours.update(comparison.names)
    others = [name for name in comparison.artifact.store.sizes if name not in ours]
    rows, notes = _others(others, LOADED)
    unknown = [name for name in comparison.contents.proven if name not in comparison.artifact.delta.base.files]
    if unknown and comparison.base.repo_id is None:
        notes.append(f"The base's folder has files that the delta does not know: {_list(unknown)}.")
    return rows, notes


def added_beside(artifact: Artifact) -> tuple[list[Difference], list[str]]:
    """The same of a delta or an adapter, beside which no file of a model belongs."""
    own = {README, NOTICE, *(f"{artifact.folder}{name}" for name in (DELTA, RECORD, HEAT_MAP))}
    own.update(artifact.facts.files)
    return _others([name for name in artifact.store.sizes if name not in own and not is_licence(name)], _TAKEN)


def _others(names: list[str], taken: frozenset[str]) -> tuple[list[Difference], list[str]]:
    """A row for every file that loaders take, and a note of all others."""
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
    """A file's identity, with a digest that the other side's can be compared with."""
    known = store.known(name)
    comparable = (known.sha256 and not other.blob_id) or (known.blob_id and not other.sha256)
    return known if comparable else store.identity(name)


def _list(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6:,} more" if len(names) > 6 else "")
