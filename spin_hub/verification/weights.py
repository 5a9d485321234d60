"""The shards of an edited model against the base's, byte by byte."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from threading import Event
from typing import Final

from spin_hub.artifacts.verification import Difference
from spin_hub.checkpoint.header import header_size, parse_header
from spin_hub.checkpoint.layout import Layout, find_layout
from spin_hub.checkpoint.store import FileStore, file_pieces
from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.errors import DeltaMismatch
from spin_hub.progress import Reporter
from spin_hub.verification.shards import Place, Proof, Sides, prove_shard

# Shards at a time: one thread does not saturate a fast disk or the memory behind it.
_AT_ONCE: Final = 2
# Bytes to read of a shard at first; most headers fit.
_HEAD: Final = 1 << 14


@dataclass(frozen=True)
class Weights:
    """The weights of both sides, and the delta between them.

    Attributes:
        base: its files.
        edited: those of the edited model, or None for a delta alone, whose originals are compared.
        delta: of the two.
        layout: the base's files of weights.
        homes: tensor of the delta -> the base's shard that holds it.
    """

    base: FileStore
    edited: FileStore | None
    delta: Delta
    layout: Layout
    homes: Mapping[str, str]

    @property
    def shards(self) -> tuple[str, ...]:
        """The base's shards, sorted."""
        return self.layout.shards

    @cached_property
    def tensors(self) -> Mapping[str, frozenset[str]]:
        """Shard -> the delta's tensors that it should hold, for the shards that the edit changes."""
        found: dict[str, set[str]] = {}
        for name, edit in self.delta.edits.items():
            if len(edit.indices):
                found.setdefault(self.homes[name], set()).add(name)
        return {shard: frozenset(names) for shard, names in sorted(found.items())}

    def edits(self, shard: str) -> dict[str, TensorEdit]:
        """The edits of the tensors that a shard holds; a copy in an earlier shard is superseded and stays as it is."""
        return {name: edit for name, edit in self.delta.edits.items() if self.homes[name] == shard}

    @cached_property
    def present(self) -> list[str]:
        """The shards that both sides have in equal size."""
        sizes = self.edited.sizes if self.edited else self.base.sizes
        return [shard for shard in self.shards if sizes.get(shard) == self.base.sizes[shard]]

    def check_holds(self, shard: str, tensors: AbstractSet[str]) -> None:
        """Refuse a shard without a tensor of the delta that it should hold.

        Raises:
            DeltaMismatch: naming it.
        """
        missing = self.tensors.get(shard, frozenset()) - tensors
        if missing:
            raise DeltaMismatch(path=self.base.label, why=f"it has no tensor {min(missing)}")

    def size_rows(self) -> Iterator[Difference]:
        """Find shards of another size; a missing one is reported with the other files."""
        sizes = self.edited.sizes if self.edited else {}
        for shard in self.shards:
            if shard in sizes and sizes[shard] != self.base.sizes[shard]:
                words = (f"{size:,} bytes" for size in (self.base.sizes[shard], sizes[shard]))
                yield Difference("weights", shard, *words)


def weights_of(base: FileStore, edited: FileStore | None, delta: Delta) -> Weights:
    """Find the shards of a base, and the shard of each of the delta's tensors, by its index.

    Raises:
        NoSafetensors, CorruptFile: the base has no shards, or not those that its index names.
        DeltaMismatch: the base lacks a tensor of the delta.
    """
    names = [name for name in base.sizes if "/" not in name]
    layout = find_layout(base.label, names, base.whole)
    homes = _homes(base, layout)
    unknown = [name for name in delta.edits if name not in homes]
    if unknown:
        raise DeltaMismatch(path=base.label, why=f"it has no tensor {unknown[0]}")
    return Weights(base, edited, delta, layout, {name: homes[name] for name in delta.edits})


def _homes(base: FileStore, layout: Layout) -> Mapping[str, str]:
    """Return tensor -> shard, as transformers reads them; of shards that are not here, as the index has it."""
    if layout.index is not None and not all(base.local(shard) for shard in layout.shards):
        return layout.weight_map
    headers = {shard: parse_header(shard, head_of(base, shard), base.sizes[shard]).spans for shard in layout.shards}
    return {name: shard for shard, spans in headers.items() for name in spans}


def head_of(store: FileStore, shard: str) -> bytes:
    """Return the bytes of a shard before its tensors."""
    size = store.sizes[shard]
    start = store.ranges(shard, [(0, min(_HEAD, size))])[0]
    end = header_size(shard, start, size)
    return start[:end] if end <= len(start) else start + store.ranges(shard, [(len(start), end)])[0]


def shard_rows(weights: Weights, reporter: Reporter) -> list[Difference]:
    """Compare every byte of every shard.

    A digest that the Hub knows is taken for the file; all else is read, and nothing is stored.

    Raises:
        CorruptFile, DownloadDamaged: the base itself is damaged.
        DeltaMismatch: the delta does not fit the base.
        OSError: a file cannot be read.
    """
    found = {shard: list(_known_rows(weights, shard)) for shard in weights.present if _is_known(weights, shard)}
    left = [shard for shard in weights.present if shard not in found]
    total = sum(weights.base.sizes[shard] for shard in left)
    stopped = Event()

    with reporter.task("Proving the weights", total, "bytes") as advance, ThreadPoolExecutor(_AT_ONCE) as helper:

        def read(size: int) -> None:
            if stopped.is_set():
                raise InterruptedError("the proof was given up")
            advance(size)

        def prove(shard: str) -> tuple[str, list[Difference]]:
            sides = _sides(weights, shard)
            return shard, list(_rows(weights, sides, prove_shard(sides, weights.edits(shard), helper, read)))

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                found.update(done.result() for done in as_completed([pool.submit(prove, shard) for shard in left]))
            except BaseException:
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [row for shard in weights.present for row in found[shard]]


def wrong_originals(shard: str, places: Iterable[Place]) -> Iterator[Difference]:
    """Return rows for touched weights at which the base differs from the delta's originals."""
    for place in places:
        yield Difference("delta", shard, f"the base's value at {place}", "another original")


def _is_known(weights: Weights, shard: str) -> bool:
    """Return True if both digests are known and should be equal."""
    base = weights.base.known(shard).sha256
    other = weights.edited.known(shard).sha256 if weights.edited else base
    return bool(base and other and shard not in weights.tensors)


def _known_rows(weights: Weights, shard: str) -> Iterator[Difference]:
    base = str(weights.base.known(shard).sha256)
    if weights.edited:
        yield from _unequal(shard, base, str(weights.edited.known(shard).sha256))
    yield from _recorded(weights, shard, base)


def _sides(weights: Weights, shard: str) -> Sides:
    base, edited = weights.base, weights.edited
    known = edited.known(shard).sha256 if edited else None
    return Sides(
        shard,
        base.sizes[shard],
        lambda: _pieces(base, shard),
        (lambda: _pieces(edited, shard)) if edited and not known else None,
        hashed=base.known(shard).sha256 is None,
        digested=known is not None,
    )


def _pieces(store: FileStore, shard: str) -> Iterable[bytes | bytearray]:
    path = store.local(shard)
    return file_pieces(path) if path else store.pieces(shard)


def _rows(weights: Weights, sides: Sides, proof: Proof) -> Iterator[Difference]:
    weights.check_holds(sides.shard, proof.found)
    edited = weights.edited.known(sides.shard).sha256 if weights.edited else None
    differs = bool(proof.bytes_differ or (proof.patched_sha256 and proof.patched_sha256 != edited))
    if differs or proof.wrong:
        # A damaged download in the cache is not the edit's fault.
        weights.base.check(sides.shard)
    if proof.bytes_differ:
        count = f"{proof.bytes_differ:,} byte{'s differ' if proof.bytes_differ > 1 else ' differs'}"
        yield Difference("weights", sides.shard, "the base with the edit", f"{count}, first {proof.first}")
    elif proof.patched_sha256:
        yield from _unequal(sides.shard, proof.patched_sha256, str(edited))
    yield from wrong_originals(sides.shard, proof.wrong.values())
    yield from _recorded(weights, sides.shard, proof.base_sha256 or str(weights.base.known(sides.shard).sha256))


def _unequal(shard: str, expected: str, found: str) -> Iterator[Difference]:
    if expected != found:
        yield Difference("weights", shard, f"sha256 {expected[:12]}", f"sha256 {found[:12]}")


def _recorded(weights: Weights, shard: str, found: str) -> Iterator[Difference]:
    recorded = weights.delta.base.files.get(shard)
    if recorded and recorded != found:
        yield Difference("base", shard, f"sha256 {recorded[:12]}", f"sha256 {found[:12]}")
