"""Digests are sha256, and one that is remembered is never that of another content."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from spin_hub.checkpoint import digests as remembered
from spin_hub.checkpoint.digests import DigestCache, digests, known_digests, sha256


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(remembered, "LARGE", 4)
    monkeypatch.setenv("SPIN_HUB_CACHE", str(tmp_path / "cache"))


def old_file(path: Path, data: bytes, monkeypatch) -> Path:
    """A file that has been left alone for a while; ctime cannot be set, so the clock goes ahead instead."""
    path.write_bytes(data)
    later = time.time() + 60
    monkeypatch.setattr(remembered.time, "time", lambda: later)
    return path


def reads(folder: Path, name: str, monkeypatch) -> tuple[str, int]:
    """The digest, and how often the content was read for it."""
    count = []
    monkeypatch.setattr("spin_hub.checkpoint.digests.sha256", lambda *a: count.append(1) or sha256(*a))
    return known_digests(folder, [name], lambda _: None)[name], len(count)


def test_an_unchanged_file_is_read_once(tmp_path, monkeypatch):
    path = old_file(tmp_path / "shard", b"12345678", monkeypatch)
    digest = sha256(path)
    assert reads(tmp_path, "shard", monkeypatch) == (digest, 1)
    assert reads(tmp_path, "shard", monkeypatch) == (digest, 0)


@pytest.mark.parametrize("kept", ["size", "size and time"])
def test_a_changed_file_is_read_again(tmp_path, monkeypatch, kept):
    path = old_file(tmp_path / "shard", b"12345678", monkeypatch)
    reads(tmp_path, "shard", monkeypatch)
    times = path.stat()
    time.sleep(0.02)
    path.write_bytes(b"87654321")
    if kept == "size and time":
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert reads(tmp_path, "shard", monkeypatch) == (sha256(path), 1)


def test_a_file_that_replaces_another_is_read(tmp_path, monkeypatch):
    path = old_file(tmp_path / "shard", b"12345678", monkeypatch)
    reads(tmp_path, "shard", monkeypatch)
    (tmp_path / "other").write_bytes(b"87654321")
    (tmp_path / "other").replace(path)
    assert reads(tmp_path, "shard", monkeypatch)[1] == 1


def test_a_file_changed_just_now_is_not_remembered(tmp_path, monkeypatch):
    (tmp_path / "shard").write_bytes(b"12345678")
    assert reads(tmp_path, "shard", monkeypatch)[1] == 1
    assert reads(tmp_path, "shard", monkeypatch)[1] == 1


def test_small_files_leave_no_trace(tmp_path, monkeypatch):
    old_file(tmp_path / "note", b"12", monkeypatch)
    reads(tmp_path, "note", monkeypatch)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", [b"", b"[]", b"{", b"\xff", b'{"a": ' * 100_000])
def test_a_damaged_memory_is_made_anew(tmp_path, monkeypatch, damage):
    old_file(tmp_path / "shard", b"12345678", monkeypatch)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "digests.json").write_bytes(damage)
    assert reads(tmp_path, "shard", monkeypatch)[1] == 1
    assert reads(tmp_path, "shard", monkeypatch)[1] == 0


def test_a_memory_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
    old_file(tmp_path / "shard", b"12345678", monkeypatch)
    (tmp_path / "cache").write_text("a file, not a folder")
    assert reads(tmp_path, "shard", monkeypatch)[1] == 1
    assert DigestCache().digest(tmp_path / "shard") is None


def test_digests_lie_where_caches_lie(tmp_path, monkeypatch):
    monkeypatch.delenv("SPIN_HUB_CACHE")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    path = old_file(tmp_path / "shard", b"12345678", monkeypatch)
    known_digests(tmp_path, [path.name], lambda _: None)
    assert (tmp_path / "xdg" / "spin-hub").is_dir()
    monkeypatch.delenv("XDG_CACHE_HOME")
    known_digests(tmp_path, [path.name], lambda _: None)
    assert (tmp_path / "home" / ".cache" / "spin-hub").is_dir()


def test_digests_are_sha256_and_every_byte_is_counted(tmp_path):
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode() * 1000)
    seen = []
    found = digests(tmp_path, "abc", seen.append)
    assert found == {name: hashlib.sha256(name.encode() * 1000).hexdigest() for name in "abc"}
    assert sum(seen) == 3000
