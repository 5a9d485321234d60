"""A shard of an edited model against the base's with the delta's bytes changed, in one pass and without a copy."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np

from spin_hub.checkpoint.header import header_size, parse_header
from spin_hub.core.delta import TensorEdit
from spin_hub.errors import CorruptFile
from spin_hub.verify.patched_bytes import Place, Touched

BLOCK: Final = 4 << 20
"""Bytes that are held of a file at a time; large enough that what is done for each block does not count."""

Pieces = Iterable[bytes | bytearray]
"""The content of a file, in order, in pieces of any size; each may be overwritten by the next."""


@dataclass(frozen=True)
class Sides:
    """What is compared: the base's shard, and the edited one.

    Attributes:
        shard: its name.
        size: of both, in bytes.
        base: the base's content.
        edited: the edited content; None where its digest is known, or there is nothing to compare.
        hashed: whether the base's own sha256 is wanted.
        digested: whether the sha256 of the patched base is wanted.
    """

    shard: str
    size: int
    base: Callable[[], Pieces]
    edited: Callable[[], Pieces] | None = None
    hashed: bool = True
    digested: bool = False


@dataclass
class Proof:
    """What one pass over a shard shows.

    Attributes:
        base_sha256: of the base's shard; None where not asked for.
        patched_sha256: of the base's shard with the delta's bytes changed, likewise.
        bytes_differ: how many bytes of the edited shard are not those.
        first: where the first of them lies.
        wrong: touched elements at which the base does not hold the delta's original, the first of every tensor.
        found: the tensors of the delta that the shard holds.
    """

    base_sha256: str | None = None
    patched_sha256: str | None = None
    bytes_differ: int = 0
    first: Place | None = None
    wrong: dict[str | None, Place] = field(default_factory=dict)
    found: frozenset[str] = frozenset()


def prove_shard(
    sides: Sides, edits: Mapping[str, TensorEdit], helper: ThreadPoolExecutor, read: Callable[[int], None]
) -> Proof:
    """Reads a shard of the base once, block by block, and the edited one beside it.

    Args:
        sides: what is compared.
        edits: the delta's, of this and other shards.
        helper: takes the digest of the base meanwhile.
        read: called with the number of bytes of every block; what it raises ends the pass.

    Raises:
        CorruptFile: the base's shard is damaged.
        DeltaMismatch: a tensor has another shape or type than in the delta.
        OSError: a file cannot be read.
    """
    blocks = in_blocks(sides.base())
    head, raw = _head(sides, blocks)
    header = parse_header(sides.shard, raw, sides.size)
    touched = Touched(header, edits, sides.shard)
    proof = Proof(found=touched.tensors)
    others = in_blocks(sides.edited()) if sides.edited else None
    own, changed = hashlib.sha256(), hashlib.sha256()
    at = 0
    for block in chain(in_blocks([head]), blocks):
        hashing = helper.submit(own.update, block) if sides.hashed else None
        try:
            patched, wrong = touched.patched(block, at)
            for place in wrong:
                proof.wrong.setdefault(place.tensor, place)
            if sides.digested:
                changed.update(patched)
            if others is not None:
                _compare(proof, touched, (patched, next(others, bytearray())), at)
        finally:
            # The next block may take the place of this one.
            if hashing:
                hashing.result()
        at += len(block)
        read(len(block))
    if at != sides.size:
        raise CorruptFile(path=sides.shard, why=f"it ended after {at:,} of {sides.size:,} bytes")
    proof.base_sha256 = own.hexdigest() if sides.hashed else None
    proof.patched_sha256 = changed.hexdigest() if sides.digested else None
    return proof


def in_blocks(pieces: Pieces) -> Iterator[bytearray]:
    """The same content in blocks of one size, but for the last; whole blocks are passed on as they are."""
    kept = bytearray()
    for piece in pieces:
        if not kept and len(piece) == BLOCK and isinstance(piece, bytearray):
            yield piece
            continue
        kept += piece
        while len(kept) >= BLOCK:
            yield kept[:BLOCK]
            del kept[:BLOCK]
    if kept:
        yield kept


def file_pieces(path: Path) -> Iterator[bytearray]:
    """The content of a file in blocks; one buffer serves for all of them."""
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, 2)
        file.seek(0)
        block = bytearray(min(BLOCK, max(size, 1)))
        view = memoryview(block)
        while True:
            filled = 0
            while filled < len(block) and (count := file.readinto(view[filled:])):
                filled += count
            if filled:
                yield block if filled == len(block) else block[:filled]
            if filled < len(block):
                return


def _head(sides: Sides, blocks: Iterator[bytearray]) -> tuple[bytearray, bytes]:
    """The first blocks, as many as hold the header, and the bytes before the tensors."""
    head = bytearray(next(blocks, b""))
    end = header_size(sides.shard, bytes(head[:8]), sides.size)
    while len(head) < end:
        more = next(blocks, None)
        if more is None:
            raise CorruptFile(path=sides.shard, why=f"it ended after {len(head):,} of {sides.size:,} bytes")
        head += more
    return head, bytes(head[:end])


def _compare(proof: Proof, touched: Touched, blocks: tuple[bytearray, bytearray], at: int) -> None:
    expected, found = blocks
    if expected == found:
        return
    length = min(len(expected), len(found))
    differs = np.frombuffer(expected, np.uint8)[:length] != np.frombuffer(found, np.uint8)[:length]
    if proof.first is None:
        proof.first = touched.place_at(at + (int(np.argmax(differs)) if differs.any() else length))
    proof.bytes_differ += int(differs.sum()) + abs(len(expected) - len(found))
