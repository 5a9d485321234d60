import errno
import os
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from spin_hub.checkpoint import patch
from spin_hub.checkpoint.index import read_index
from spin_hub.checkpoint.patch import State, copy_others, originals, state_of, write_patched_copy, zeros
from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.errors import DeltaMismatch

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


def ignore(_: int) -> None:
    pass


def edit_of(index, name, positions) -> TensorEdit:
    span = index.tensors[name].span
    indices = np.array(sorted(positions), dtype=np.int64)
    return TensorEdit(span.shape, span.dtype, indices, index.raw(name, indices))


def checkpoint(folder, dtype, shards=1):
    folder.mkdir()
    torch.manual_seed(0)
    tensors = {f"layers.{n}.weight": torch.randn(6, 5).to(dtype) for n in range(4)}
    names = sorted(tensors)
    files = {}
    for number in range(shards):
        shard = "model.safetensors" if shards == 1 else f"model-{number + 1}-of-{shards}.safetensors"
        save_file({name: tensors[name] for name in names[number::shards]}, folder / shard, {"format": "pt"})
        files |= dict.fromkeys(names[number::shards], shard)
    if shards > 1:
        import json

        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    (folder / "config.json").write_text("{}")
    return read_index(folder)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("code", DTYPES)
def test_exactly_the_named_weights_become_plus_zero(tmp_path, code, shards):
    index = checkpoint(tmp_path / "base", DTYPES[code], shards)
    edits = {"layers.0.weight": edit_of(index, "layers.0.weight", {0, 7, 29})}
    edits["layers.3.weight"] = edit_of(index, "layers.3.weight", {4})
    target = tmp_path / "edited"
    target.mkdir()
    write_patched_copy(index, edits, zeros, target, ignore)
    for shard in index.shards:
        before, after = load_file(index.folder / shard), load_file(target / shard)
        assert list(before) == list(after)
        for name, tensor in before.items():
            expected = tensor.clone()
            if name in edits:
                expected.view(-1)[torch.from_numpy(edits[name].indices)] = 0
            assert torch.equal(expected.view(torch.uint8), after[name].view(torch.uint8))
        save_file(after, tmp_path / "again.safetensors", {"format": "pt"})
        assert (tmp_path / "again.safetensors").read_bytes() == (target / shard).read_bytes()


@settings(max_examples=25)
@given(st.data())
def test_apply_then_revert_gives_equal_bytes(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("case")
    index = checkpoint(
        folder / "base", DTYPES[data.draw(st.sampled_from(sorted(DTYPES)))], data.draw(st.integers(1, 4))
    )
    edits = {
        name: edit_of(index, name, data.draw(st.sets(st.integers(0, 29), min_size=1)))
        for name in data.draw(st.sets(st.sampled_from(sorted(index.tensors)), min_size=1))
    }
    for name in ("edited", "back"):
        (folder / name).mkdir()
    write_patched_copy(index, edits, zeros, folder / "edited", ignore)
    (folder / "edited" / "config.json").write_text("{}")
    if len(index.shards) > 1:
        map_name = "model.safetensors.index.json"
        (folder / "edited" / map_name).write_bytes((index.folder / map_name).read_bytes())
    edited = read_index(folder / "edited")
    delta = Delta(edits, BaseRef(), {})
    assert state_of(edited, delta) in {State.EDITED, State.ORIGINAL}
    write_patched_copy(edited, edits, originals, folder / "back", ignore)
    for shard in index.shards:
        assert (folder / "back" / shard).read_bytes() == (index.folder / shard).read_bytes()


def test_state_tells_original_edited_and_other(tmp_path):
    index = checkpoint(tmp_path / "base", torch.float32)
    edits = {"layers.1.weight": edit_of(index, "layers.1.weight", {3, 9})}
    delta = Delta(edits, BaseRef(), {})
    assert state_of(index, delta) is State.ORIGINAL
    (tmp_path / "edited").mkdir()
    write_patched_copy(index, edits, zeros, tmp_path / "edited", ignore)
    (tmp_path / "edited" / "config.json").write_text("{}")
    assert state_of(read_index(tmp_path / "edited"), delta) is State.EDITED
    other = TensorEdit((6, 5), "F32", np.array([3, 9]), edits["layers.1.weight"].original ^ 1)
    assert state_of(index, Delta({"layers.1.weight": other}, BaseRef(), {})) is State.OTHER


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "said"),
    [
        ("layers.9.weight", (6, 5), "F32", "no tensor layers.9.weight"),
        ("layers.0.weight", (5, 6), "F32", r"\[6, 5\] there, but F32 \[5, 6\]"),
        ("layers.0.weight", (6, 5), "F16", r"F32 \[6, 5\] there, but F16"),
    ],
)
def test_a_delta_of_another_checkpoint_is_refused(tmp_path, name, shape, dtype, said):
    index = checkpoint(tmp_path / "base", torch.float32)
    edit = TensorEdit(shape, dtype, np.array([0]), np.zeros((1, 4 if dtype == "F32" else 2), np.uint8))
    with pytest.raises(DeltaMismatch, match=said):
        state_of(index, Delta({name: edit}, BaseRef(), {}))


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_are_followed_and_the_copy_is_a_file(tmp_path):
    index = checkpoint(tmp_path / "base", torch.float32)
    blob = tmp_path / "blob"
    shard = index.folder / "model.safetensors"
    shard.rename(blob)
    shard.symlink_to(blob)
    before = blob.read_bytes()
    (tmp_path / "edited").mkdir()
    write_patched_copy(
        index, {"layers.0.weight": edit_of(index, "layers.0.weight", {1})}, zeros, tmp_path / "edited", ignore
    )
    assert not (tmp_path / "edited" / "model.safetensors").is_symlink()
    assert blob.read_bytes() == before


def test_other_files_are_copied_to_the_same_places(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "parts" / "deep").mkdir(parents=True)
    target.mkdir()
    for name in ("config.json", "parts/a.json", "parts/deep/b.json", "left.txt"):
        (source / name).write_text(f"this is {name}")
    copy_others(source, ["config.json", "parts/a.json", "parts/deep/b.json"], target)
    found = {path.relative_to(target).as_posix(): path.read_text() for path in target.rglob("*") if path.is_file()}
    assert found == {name: f"this is {name}" for name in ("config.json", "parts/a.json", "parts/deep/b.json")}


@pytest.mark.skipif(not hasattr(os, "pwrite"), reason="this system has no pwrite")
@pytest.mark.parametrize("least", [1, 3, 10**9])
@pytest.mark.parametrize("shortest", [1, 7, None])
def test_dense_weights_are_written_with_what_lies_between(tmp_path, monkeypatch, least, shortest):
    """The same bytes whatever is written at once, also where a disk takes a part of it."""
    monkeypatch.setattr(patch, "_BLOCK", 16)
    monkeypatch.setattr(patch, "_DENSE", least)
    real, calls = os.pwrite, []

    def pwrite(descriptor, data, offset):
        calls.append(len(data))
        return real(descriptor, bytes(data)[:shortest], offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    for code in ("BF16", "F32"):
        index = checkpoint(tmp_path / code, DTYPES[code])
        positions = {0, 1, 3, 8, 9, 10, 11, 28, 29}
        edits = {name: edit_of(index, name, positions) for name in ("layers.0.weight", "layers.3.weight")}
        (tmp_path / f"{code} edited").mkdir()
        write_patched_copy(index, edits, zeros, tmp_path / f"{code} edited", ignore)
        before, after = load_file(tmp_path / code / "model.safetensors"), load_file(
            tmp_path / f"{code} edited" / "model.safetensors"
        )  # fmt: skip
        for name, tensor in before.items():
            expected = tensor.clone()
            if name in edits:
                expected.view(-1)[sorted(positions)] = 0
            assert torch.equal(expected, after[name])
    assert (max(calls) > 4) == (least != 10**9)


@pytest.mark.skipif(not hasattr(os, "pwrite"), reason="this system has no pwrite")
def test_a_disk_that_is_full_within_a_block_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(patch, "_DENSE", 2)
    index = checkpoint(tmp_path / "base", torch.float32)
    edits = {"layers.0.weight": edit_of(index, "layers.0.weight", range(30))}
    real, left = os.pwrite, [50]

    def pwrite(descriptor, data, offset):
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(left[0], len(data))
        left[0] -= taken
        return real(descriptor, bytes(data)[:taken], offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    (tmp_path / "edited").mkdir()
    with pytest.raises(OSError, match="No space"):
        write_patched_copy(index, edits, zeros, tmp_path / "edited", ignore)
