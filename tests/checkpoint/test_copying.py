import errno
import os

import pytest

from spin_hub.checkpoint.patch import copy_file


@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_a_copy_is_equal(tmp_path, size):
    (tmp_path / "a").write_bytes(os.urandom(size))
    copy_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_where_the_kernel_cannot_copy_the_library_does(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "not here")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    (tmp_path / "a").write_bytes(b"abc")
    copy_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"abc"


def test_a_full_disk_is_not_hidden(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "copy_file_range", full, raising=False)
    (tmp_path / "a").write_bytes(b"abc")
    with pytest.raises(OSError, match="full"):
        copy_file(tmp_path / "a", tmp_path / "b")
