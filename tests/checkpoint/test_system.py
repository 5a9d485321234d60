"""The portable ways give the same bytes as the system's own calls."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from spin_hub.checkpoint import patch
from spin_hub.checkpoint.digests import DigestCache
from spin_hub.checkpoint.index import read_index
from spin_hub.checkpoint.patch import copy_file, copy_others, originals, write_patched_copy, zeros
from spin_hub.checkpoint.system import cache_folder, copy_in_kernel, read_at, write_at
from spin_hub.core.delta import TensorEdit
from spin_hub.errors import OutputNotAllowed

CALLS = ("pread", "pwrite", "copy_file_range")
WAYS = [(), *((call,) for call in CALLS), CALLS]


def without(monkeypatch, calls):
    for call in calls:
        monkeypatch.delattr(os, call, raising=False)


@pytest.mark.parametrize("missing", WAYS, ids="-".join)
def test_bytes_at_an_offset(tmp_path, monkeypatch, missing):
    without(monkeypatch, missing)
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))
    with path.open("r+b", buffering=0) as file:
        for start, data in ((3, b"abc"), (98, b"wxyz"), (0, b"")):
            write_at(file, memoryview(data), start)
            assert read_at(file, len(data), start) == data
        assert read_at(file, 50, 100) == b"yz"
        assert read_at(file, 1, 1000) == b""
    assert path.read_bytes() == bytes([0, 1, 2]) + b"abc" + bytes(range(6, 98)) + b"wxyz"


@pytest.mark.parametrize("missing", WAYS, ids="-".join)
@pytest.mark.parametrize("dense", [1, 10**9])
def test_an_edited_copy_is_the_same_on_every_system(sharded, tmp_path, monkeypatch, missing, dense):
    index, edits, positions = read_index(sharded), {}, np.array([0, 1, 5, 9, 11])
    for name in list(index.tensors)[::3]:
        span = index.tensors[name].span
        edits[name] = TensorEdit(span.shape, span.dtype, positions, index.raw(name, positions))
    expected = {shard: bytearray((index.folder / shard).read_bytes()) for shard in index.shards}
    for name, edit in edits.items():
        place, size = index.tensors[name], edit.original.shape[1]
        for position in edit.indices.tolist():
            start = place.span.start + position * size
            expected[place.shard][start : start + size] = bytes(size)

    without(monkeypatch, missing)
    monkeypatch.setattr(patch, "_DENSE", dense)
    (tmp_path / "edited").mkdir()
    copied = []
    write_patched_copy(index, edits, zeros, tmp_path / "edited", copied.append)
    assert {shard: (tmp_path / "edited" / shard).read_bytes() for shard in index.shards} == expected
    assert sum(copied) == sum(map(len, expected.values()))

    (tmp_path / "back").mkdir()
    copy_others(index.folder, ["config.json", "model.safetensors.index.json"], tmp_path / "edited")
    write_patched_copy(read_index(tmp_path / "edited"), edits, originals, tmp_path / "back", copied.append)
    for shard in index.shards:
        assert (tmp_path / "back" / shard).read_bytes() == (index.folder / shard).read_bytes()


@pytest.mark.parametrize("size", [0, 1, 70_000, (4 << 20) + 1])
@pytest.mark.parametrize("kernel", ["copies", "is missing", "refuses", "stops in between", "says that it is done"])
def test_a_copy_is_equal_however_far_the_kernel_goes(tmp_path, monkeypatch, size, kernel):
    real, calls = getattr(os, "copy_file_range", None), []

    def some(source, target, count):
        calls.append(count)
        if kernel == "refuses":
            raise OSError(errno.EXDEV, "not here")
        if kernel == "says that it is done":
            return 0
        if len(calls) > 2:
            raise OSError(errno.EOPNOTSUPP, "no more")
        return real(source, target, min(count, 1000))

    if kernel == "is missing":
        without(monkeypatch, CALLS)
    elif real is None:
        pytest.skip("this system has no copy_file_range")
    elif kernel != "copies":
        monkeypatch.setattr(os, "copy_file_range", some)
    data = np.random.default_rng(0).bytes(size)
    (tmp_path / "a").write_bytes(data)
    copied = []
    copy_file(tmp_path / "a", tmp_path / "b", copied.append)
    assert (tmp_path / "b").read_bytes() == data
    assert sum(copied) == size


@pytest.mark.parametrize("missing", [(), CALLS], ids="-".join)
def test_a_copy_ends_where_its_caller_gives_it_up(tmp_path, monkeypatch, missing):
    def stop(_):
        raise InterruptedError("given up")

    without(monkeypatch, missing)
    (tmp_path / "a").write_bytes(b"abc")
    with pytest.raises(InterruptedError):
        copy_file(tmp_path / "a", tmp_path / "b", stop)


def test_a_kernel_without_the_call_copies_nothing(tmp_path, monkeypatch):
    without(monkeypatch, CALLS)
    (tmp_path / "a").write_bytes(b"abc")
    with (tmp_path / "a").open("rb", buffering=0) as reader, (tmp_path / "b").open("wb", buffering=0) as writer:
        assert copy_in_kernel(reader, writer, 3) is None


def test_a_full_disk_is_not_hidden(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "copy_file_range", full, raising=False)
    (tmp_path / "a").write_bytes(b"abc")
    with pytest.raises(OSError, match="full"):
        copy_file(tmp_path / "a", tmp_path / "b")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize("mode", [0o444, 0o600, 0o755])
def test_copies_keep_the_permissions(sharded, tmp_path, mode):
    base = shutil.copytree(sharded, tmp_path / "base")
    for path in base.iterdir():
        path.chmod(mode)
    index, positions = read_index(base), np.array([0])
    name, place = next(iter(index.tensors.items()))
    edits = {name: TensorEdit(place.span.shape, place.span.dtype, positions, index.raw(name, positions))}
    (tmp_path / "edited").mkdir()
    write_patched_copy(index, edits, zeros, tmp_path / "edited", lambda _: None)
    copy_others(base, ["config.json", "tokenizer.json"], tmp_path / "edited")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "edited").iterdir()} == {mode}


def test_names_that_the_file_system_takes_for_one_are_refused(tmp_path):
    (tmp_path / "base").mkdir()
    for name in ("notes.txt", "Notes.txt"):
        (tmp_path / "base" / name).write_bytes(name.encode())
    (tmp_path / "target").mkdir()
    if len(list((tmp_path / "base").iterdir())) == 2:
        copy_others(tmp_path / "base", ["notes.txt", "Notes.txt"], tmp_path / "target")
        assert len(list((tmp_path / "target").iterdir())) == 2
        # As it looks where case is not told apart: the second name is there once the first is written.
        (tmp_path / "folding").mkdir()
        (tmp_path / "folding" / "Notes.txt").touch()
        target = tmp_path / "folding"
    else:
        target = tmp_path / "target"
    with pytest.raises(OutputNotAllowed, match=r"makes one file of notes\.txt and Notes\.txt"):
        copy_others(tmp_path / "base", ["notes.txt", "Notes.txt"], target)


def test_without_a_home_caches_lie_in_the_working_folder(tmp_path, monkeypatch):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    for name in ("SPIN_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    assert cache_folder() == Path(".cache")
    assert DigestCache().path == Path(".cache", "spin-hub", "digests.json")
