"""Every shard of an edited model against the base's with the delta's bytes changed."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from threading import Event
from typing import Final

from spin_hub.artifacts.verification import Difference, Store
from spin_hub.checkpoint.index import SHARDED, SINGLE, named_shards, parse_weight_map
from spin_hub.core.delta import Delta
from spin_hub.errors import CorruptFile, DeltaMismatch, NoSafetensors
from spin_hub.progress import Reporter
from spin_hub.verify.patched_bytes import Place
from spin_hub.verify.shards import Proof, Sides, file_pieces, prove_shard

_AT_ONCE: Final = 2
"""Shards: one thread does not fill a fast disk or the memory behind it."""


@dataclass(frozen=True)
class Weights:
    """What is compared.

    Attributes:
        base: its files.
        edited: those of the edited model; None where there is only a delta, whose originals are compared.
        delta: of the two.
        shards: of the base, sorted.
        homes: tensor of the delta -> the base's shard that holds it.
    """

    base: Store
    edited: Store | None
    delta: Delta
    shards: tuple[str, ...]
    homes: Mapping[str, str]

    @cached_property
    def tensors(self) -> Mapping[str, frozenset[str]]:
        """Shard -> the delta's tensors that it should hold; the shards in which the edit changes something."""
        found: dict[str, set[str]] = {}
        for name, edit in self.delta.edits.items():
            if len(edit.indices):
                found.setdefault(self.homes[name], set()).add(name)
        return {shard: frozenset(names) for shard, names in sorted(found.items())}

    @cached_property
    def present(self) -> list[str]:
        """The shards that both sides have, with the same size."""
        sizes = self.edited.sizes if self.edited else self.base.sizes
        return [shard for shard in self.shards if sizes.get(shard) == self.base.sizes[shard]]

    def check_holds(self, shard: str, tensors: AbstractSet[str]) -> None:
        """Refuses a delta of which a shard lacks a tensor that it should hold.

        Raises:
            DeltaMismatch: naming it.
        """
        missing = self.tensors.get(shard, frozenset()) - tensors
        if missing:
            raise DeltaMismatch(path=self.base.label, why=f"it has no tensor {min(missing)}")

    def size_rows(self) -> Iterator[Difference]:
        """Shards of another size; a missing one is told with the other files."""
        sizes = self.edited.sizes if self.edited else {}
        for shard in self.shards:
            if shard in sizes and sizes[shard] != self.base.sizes[shard]:
                words = (f"{size:,} bytes" for size in (self.base.sizes[shard], sizes[shard]))
                yield Difference("weights", shard, *words)


def weights_of(base: Store, edited: Store | None, delta: Delta) -> Weights:
    """Finds the shards of a base, and in which of them the delta's tensors lie, by its index.

    Raises:
        NoSafetensors, CorruptFile: the base has no shards, or not those that its index names.
        DeltaMismatch: the base lacks a tensor of the delta.
    """
    if SINGLE in base.sizes:
        return Weights(base, edited, delta, (SINGLE,), dict.fromkeys(delta.edits, SINGLE))
    if SHARDED not in base.sizes:
        raise NoSafetensors(path=base.label, others="no index of shards")
    homes = parse_weight_map(f"{base.label}/{SHARDED}", base.whole(SHARDED))
    shards = named_shards(f"{base.label}/{SHARDED}", homes)
    missing = [shard for shard in shards if shard not in base.sizes]
    if missing:
        raise CorruptFile(path=f"{base.label}/{missing[0]}", why="the index names this shard, but it is missing")
    unknown = [name for name in delta.edits if name not in homes]
    if unknown:
        raise DeltaMismatch(path=base.label, why=f"it has no tensor {unknown[0]}")
    return Weights(base, edited, delta, shards, homes)


def shard_rows(weights: Weights, reporter: Reporter) -> list[Difference]:
    """What differs in any shard; every byte counts.

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
            return shard, list(_rows(weights, sides, prove_shard(sides, weights.delta.edits, helper, read)))

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                found.update(done.result() for done in as_completed([pool.submit(prove, shard) for shard in left]))
            except BaseException:
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [row for shard in weights.present for row in found[shard]]


def wrong_originals(shard: str, places: Iterable[Place]) -> Iterator[Difference]:
    """Rows for touched weights at which the base holds something else than the delta says."""
    for place in places:
        yield Difference("delta", shard, f"the base's value at {place}", "another original")


def _is_known(weights: Weights, shard: str) -> bool:
    """Whether the digests of both sides are known and equal contents are expected."""
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


def _pieces(store: Store, shard: str) -> Iterable[bytes | bytearray]:
    path = store.local(shard)
    return file_pieces(path) if path else store.pieces(shard)


def _rows(weights: Weights, sides: Sides, proof: Proof) -> Iterator[Difference]:
    weights.check_holds(sides.shard, proof.found)
    edited = weights.edited.known(sides.shard).sha256 if weights.edited else None
    differs = bool(proof.bytes_differ or (proof.patched_sha256 and proof.patched_sha256 != edited))
    if differs or proof.wrong:
        # Before the edit is blamed: a download that was damaged in the cache is the machine's own.
        weights.base.check(sides.shard)
    if proof.bytes_differ:
        count = f"{proof.bytes_differ:,} byte{'s' if proof.bytes_differ > 1 else ''}"
        yield Difference("weights", sides.shard, "the base with the edit", f"{count} differ, first {proof.first}")
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
