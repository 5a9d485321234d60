"""Git LFS pointers are told from every other file."""

import pytest

from spin_hub.checkpoint.lfs import is_pointer, refuse_pointer
from spin_hub.errors import CorruptFile, LfsPointer

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 12345\n"


@pytest.mark.parametrize("data", [POINTER, POINTER.replace(b"git-lfs", b"hawser"), POINTER.replace(b"\n", b"\r\n")])
def test_a_pointer_is_refused_with_the_way_to_the_file(tmp_path, data):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(LfsPointer, match=r"model\.safetensors is a Git LFS pointer, not the file") as caught:
        refuse_pointer(path)
    assert "git lfs pull" in caught.value.hint
    assert isinstance(caught.value, CorruptFile)


@pytest.mark.parametrize("data", [b"", b"{}", b"version 3", POINTER + b"\n" * 1024, b"x" + POINTER])
def test_other_files_are_not(tmp_path, data):
    path = tmp_path / "file"
    path.write_bytes(data)
    refuse_pointer(path)
    assert not is_pointer(data)


def test_a_missing_file_is_left_to_whoever_opens_it(tmp_path):
    refuse_pointer(tmp_path / "none")
    refuse_pointer(tmp_path)
