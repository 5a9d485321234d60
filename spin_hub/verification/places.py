"""A quick look at the shards of an edited model: headers and touched places, as many as may be read of a repo."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from spin_hub.artifacts.verification import Difference
from spin_hub.checkpoint.header import parse_header
from spin_hub.checkpoint.sampling import Allowance, Pieces, pieces_for
from spin_hub.progress import Reporter, step
from spin_hub.verification.shards import PatchMap, Place
from spin_hub.verification.weights import Weights, head_of, wrong_originals

_SEED: Final = 0

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
        heads = [head_of(store, shard) for store in stores]
        touched = PatchMap(parse_header(shard, heads[0], weights.base.sizes[shard]), weights.edits(shard), shard)
        weights.check_holds(shard, touched.tensors)
        if heads[0] != heads[-1]:
            sample.rows.append(Difference("weights", shard, "the base's header", "another header"))
        else:
            yield shard, touched


def _room(most: Allowance, left: Allowance) -> bool:
    return left.requests >= max(most.requests // 2, _PER_SHARD) and left.nbytes >= most.nbytes // 2


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
        count = f"{differ:,} byte{'s differ' if differ > 1 else ' differs'}"
        yield Difference("weights", shard, "the base with the edit", f"{count}, first {first}")
    yield from wrong_originals(shard, wrong.values())
