"""A shard of the base with the delta's bytes changed, against an edited one, in one pass."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from deltas_of import DOWN, UP, delta_of

from spin_hub.checkpoint import store
from spin_hub.checkpoint.header import read_header
from spin_hub.checkpoint.index import read_index
from spin_hub.checkpoint.patch import write_patched_copy, zeros
from spin_hub.checkpoint.store import file_pieces, in_blocks
from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.errors import CorruptFile, DeltaMismatch
from spin_hub.verification.shards import Proof, Sides, prove_shard

SHARD = "model.safetensors"


@pytest.fixture
def edited(tiny: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "edited"
    folder.mkdir()
    write_patched_copy(read_index(tiny), delta_of(tiny).edits, zeros, folder, lambda _: None)
    return folder / SHARD


def proved(base: Path, edited: Path | None, delta: Delta, read=lambda _: None, **wanted: bool) -> Proof:
    pieces = None if edited is None else lambda: file_pieces(edited)
    sides = Sides(SHARD, base.stat().st_size, lambda: file_pieces(base), pieces, **wanted)
    with ThreadPoolExecutor(1) as helper:
        return prove_shard(sides, delta.edits, helper, read)


@pytest.fixture(params=[4 << 20, 4096, 1 << 10, 777])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Blocks of several sizes; the odd one cuts elements in two."""
    monkeypatch.setattr(store, "BLOCK", request.param)
    return request.param


def test_an_edited_shard_is_the_base_with_the_bytes_changed(block, tiny, edited):
    seen = []
    proof = proved(tiny / SHARD, edited, delta_of(tiny), seen.append, digested=True)
    assert (proof.bytes_differ, proof.first, proof.wrong) == (0, None, {})
    assert proof.base_sha256 == hashlib.sha256((tiny / SHARD).read_bytes()).hexdigest()
    assert proof.patched_sha256 == hashlib.sha256(edited.read_bytes()).hexdigest()
    assert proof.found == {UP, DOWN}
    assert sum(seen) == edited.stat().st_size


def test_every_single_byte_that_differs_is_found_and_named(block, tiny, edited):
    data = edited.read_bytes()
    spans = read_header(edited).spans
    last = max(span.start + span.nbytes for span in spans.values())
    for at, name in ((9, None), (spans[UP].start + 13, UP), (last - 1, None), (spans[DOWN].start, DOWN)):
        changed = bytearray(data)
        changed[at] ^= 1
        edited.write_bytes(changed)
        proof = proved(tiny / SHARD, edited, delta_of(tiny))
        assert proof.bytes_differ == 1, at
        if name:
            assert (proof.first.tensor, proof.first.index) == (name, (at - spans[name].start) // 4)
        assert (proof.first.tensor is None) == (at == 9)


def test_a_weight_that_was_not_set_to_zero_is_found(block, tiny, edited):
    proof = proved(tiny / SHARD, tiny / SHARD, delta_of(tiny))
    assert 0 < proof.bytes_differ <= 20
    assert str(proof.first) == f"{DOWN}[0]" or str(proof.first) == f"{UP}[3]"


def test_an_original_that_is_not_the_base_s_is_found(block, tiny, edited):
    delta = delta_of(tiny)
    lie = delta.edits[UP].original.copy()
    lie[2, 3] ^= 1
    edit = TensorEdit(delta.edits[UP].shape, "F32", delta.edits[UP].indices, lie)
    proof = proved(tiny / SHARD, edited, Delta({**delta.edits, UP: edit}, delta.base, delta.method))
    assert proof.bytes_differ == 0
    assert {name: place.index for name, place in proof.wrong.items()} == {UP: 2000}


def test_a_dense_delta_in_two_bytes_an_element(block, sharded, tmp_path):
    index = read_index(sharded)
    place = index.tensors[UP]
    delta = delta_of(sharded, {UP: np.arange(0, 2048, 2)})
    write_patched_copy(index, delta.edits, zeros, tmp_path, lambda _: None)
    assert proved(sharded / place.shard, tmp_path / place.shard, delta).bytes_differ == 0
    everything = delta_of(sharded, {UP: np.arange(2048)})
    assert proved(sharded / place.shard, tmp_path / place.shard, everything).bytes_differ > 1000


def test_an_edited_shard_that_ends_early_or_goes_on(tiny, edited):
    data = edited.read_bytes()
    for other in (data[:-3], data[: len(data) // 2], b""):
        edited.write_bytes(other)
        assert proved(tiny / SHARD, edited, delta_of(tiny)).bytes_differ >= len(data) - len(other)


def test_a_base_that_ends_early_is_damaged(tiny, tmp_path):
    (tmp_path / SHARD).write_bytes((tiny / SHARD).read_bytes()[:-7])
    size = (tiny / SHARD).stat().st_size
    for cut in (size - 7, 3, 100):
        data = (tiny / SHARD).read_bytes()[:cut]
        sides = Sides(SHARD, size, lambda data=data: [data])
        with ThreadPoolExecutor(1) as helper, pytest.raises(CorruptFile):
            prove_shard(sides, delta_of(tiny).edits, helper, lambda _: None)


def test_a_tensor_of_another_shape_is_refused(tiny):
    edit = delta_of(tiny).edits[UP]
    other = TensorEdit((*edit.shape[::-1],), edit.dtype, edit.indices, edit.original)
    with pytest.raises(DeltaMismatch, match="up_proj"):
        proved(tiny / SHARD, None, Delta({UP: other}, delta_of(tiny).base, {}))


def test_a_pass_can_be_given_up(tiny, edited):
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        proved(tiny / SHARD, edited, delta_of(tiny), stop)


def test_blocks_are_whole_whatever_the_pieces_are(monkeypatch):
    monkeypatch.setattr(store, "BLOCK", 10)
    data = bytes(range(57))
    for size in (1, 3, 10, 25, 57, 100):
        pieces = [data[start : start + size] for start in range(0, 57, size)]
        blocks = [bytes(block) for block in in_blocks(pieces)]
        assert b"".join(blocks) == data
        assert [len(block) for block in blocks] == [10] * 5 + [7]
