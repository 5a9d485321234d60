"""The shards of an edited model against the base's: every byte, or headers and touched places alone."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cached_property
from threading import Event
from typing import Final

import numpy as np

from spin_hub.artifacts.verification import Difference
from spin_hub.checkpoint.header import header_size, parse_header
from spin_hub.checkpoint.layout import Layout, find_layout
from spin_hub.checkpoint.sampling import Allowance, Pieces, pieces_for
from spin_hub.checkpoint.store import FileStore, file_pieces
from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.errors import DeltaMismatch
from spin_hub.progress import Reporter, step
from spin_hub.verification.shards import PatchMap, Place, Proof, Sides, prove_shard

# Shards at a time: one thread does not saturate a fast disk or the memory behind it.
_AT_ONCE: Final = 2


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
    headers = {shard: parse_header(shard, _head(base, shard), base.sizes[shard]).spans for shard in layout.shards}
    return {name: shard for shard, spans in headers.items() for name in spans}


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


_SEED: Final = 0
# Bytes to read of a shard at first; most headers fit.
_HEAD: Final = 1 << 14

# The fewest requests per shard: a redirect, one or two for its header, one for an element.
_PER_SHARD: Final = 4


@dataclass
class Sample:
    """The result of a quick look: differences, and how many of all touched elements were read."""

    total: int
    checked: int = 0
    rows: list[Difference] = field(default_factory=list)


def place_rows(weights: Weights, reporter: Reporter) -> Sample:
    """Compare headers and touched elements, as many as a repo's allowance has room for.

    Bytes between elements that are read in one piece are compared too, and the digests that the Hub knows.

    Raises:
        RangesIgnored: an endpoint sends whole files.
        DeltaMismatch, CorruptFile: the delta does not fit the base, or a header is damaged.
    """
    sample = Sample(weights.delta.weights, rows=list(_digest_rows(weights)))
    shards = [shard for shard in weights.tensors if shard in weights.present]
    with step(reporter, "Looking at the touched weights"):
        touched = dict(_headers(weights, shards, sample))
        pieces = _places_to_read(weights, touched)
        sample.checked = pieces.places
        borders = np.searchsorted(pieces.files, np.arange(len(touched) + 1))
        for number, (shard, part) in enumerate(touched.items()):
            here = slice(borders[number], borders[number + 1])
            spans = list(zip(pieces.starts[here].tolist(), pieces.ends[here].tolist(), strict=True))
            sample.rows.extend(_compared(weights, shard, part, spans))
    return sample


def _digest_rows(weights: Weights) -> Iterator[Difference]:
    """Compare whole shards by the digests that the Hub knows."""
    for shard in weights.present:
        base, edited = weights.base.known(shard).sha256, None
        if weights.edited and shard not in weights.tensors:
            edited = weights.edited.known(shard).sha256
        # A shard that the edit leaves alone is the base's, whether that is here or was only recorded.
        expected = base or weights.delta.base.files.get(shard)
        if edited and expected and edited != expected:
            yield Difference("weights", shard, f"sha256 {expected[:12]}", f"sha256 {edited[:12]}")


def _headers(weights: Weights, shards: list[str], sample: Sample) -> Iterator[tuple[str, PatchMap]]:
    """Yield shards whose headers are equal, in random order while half of the allowance is left."""
    stores = [store for store in (weights.base, weights.edited) if store]
    allowed = [store.allowance(shards) for store in stores]
    order = [shards[number] for number in np.random.default_rng(_SEED).permutation(len(shards))]
    for shard in order if any(allowed) else shards:
        for store, most in zip(stores, allowed, strict=True):
            if most and (left := store.allowance(shards)) and not _room(most, left):
                return
        heads = [_head(store, shard) for store in stores]
        touched = PatchMap(parse_header(shard, heads[0], weights.base.sizes[shard]), weights.edits(shard), shard)
        weights.check_holds(shard, touched.tensors)
        if heads[0] != heads[-1]:
            sample.rows.append(Difference("weights", shard, "the base's header", "another header"))
        else:
            yield shard, touched


def _room(most: Allowance, left: Allowance) -> bool:
    return left.requests >= max(most.requests // 2, _PER_SHARD) and left.nbytes >= most.nbytes // 2


def _head(store: FileStore, shard: str) -> bytes:
    size = store.sizes[shard]
    start = store.ranges(shard, [(0, min(_HEAD, size))])[0]
    end = header_size(shard, start, size)
    return start[:end] if end <= len(start) else start + store.ranges(shard, [(len(start), end)])[0]


def _places_to_read(weights: Weights, touched: dict[str, PatchMap]) -> Pieces:
    """Choose the pieces to read of the shards, numbered in their order."""
    nothing = np.empty(0, np.int64)
    places = [part.places() for part in touched.values()]
    files = np.repeat(np.arange(len(places)), [len(starts) for starts, _ in places])
    starts, ends = (np.concatenate([nothing, *(place[side] for place in places)]) for side in (0, 1))
    allowed = [store.allowance(touched) for store in (weights.base, weights.edited) if store]
    limits = [limit for limit in allowed if limit]
    smallest = Allowance(min(x.requests for x in limits), min(x.nbytes for x in limits)) if limits else None
    return pieces_for(files, starts, ends, smallest, _SEED)


def _compared(weights: Weights, shard: str, touched: PatchMap, spans: list[tuple[int, int]]) -> Iterator[Difference]:
    wrong: dict[str | None, Place] = {}
    differ, first = 0, None
    base = weights.base.ranges(shard, spans)
    edited = weights.edited.ranges(shard, spans) if weights.edited else [b""] * len(spans)
    for (start, _), there, here in zip(spans, base, edited, strict=True):
        patched, places = touched.patched(bytearray(there), start)
        for place in places:
            wrong.setdefault(place.tensor, place)
        if weights.edited and patched != here:
            odd = np.frombuffer(patched, np.uint8) != np.frombuffer(here, np.uint8)
            first = first or touched.place_at(start + int(np.argmax(odd)))
            differ += int(odd.sum())
    if differ:
        count = f"{differ:,} byte{'s' if differ > 1 else ''}"
        yield Difference("weights", shard, "the base with the edit", f"{count} differ, first {first}")
    yield from wrong_originals(shard, wrong.values())
