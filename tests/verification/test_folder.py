"""A folder as something that can be proved, against git's and Python's own digests."""

import hashlib
import subprocess
from itertools import pairwise

import pytest

from spin_hub.checkpoint import store as module
from spin_hub.checkpoint.store import BLOCK, FolderStore, Identity

FILES = {"a.txt": b"a", "deep/b.bin": bytes(range(256)) * 9, "deep/empty": b"", "name with spaces": b"line\n"}


@pytest.fixture
def folder(tmp_path):
    for name, data in {**FILES, ".hidden": b"x", "deep/.git/c": b"y", ".cache/d": b"z"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return FolderStore("called", tmp_path, "org/name", "c" * 40)


def test_the_visible_files_have_their_sizes(folder):
    assert list(folder.sizes.items()) == [(name, len(FILES[name])) for name in sorted(FILES)]
    assert (folder.label, folder.repo_id, folder.commit) == ("called", "org/name", "c" * 40)
    assert folder.allowance(FILES) is None


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_the_digests_that_git_and_others_give_it(folder, name):
    path = folder.local(name)
    blob = subprocess.run(["git", "hash-object", "--no-filters", path], capture_output=True, text=True, check=True)
    whole = Identity(len(FILES[name]), hashlib.sha256(FILES[name]).hexdigest(), blob.stdout.strip())
    assert folder.identity(name) == whole
    assert folder.sha256(name) == whole.sha256
    assert folder.known(name) == Identity(whole.size)
    assert folder.whole(name) == FILES[name]
    assert b"".join(map(bytes, folder.pieces(name))) == FILES[name]


@pytest.mark.parametrize(("size", "by_git"), [(8, True), (9, False)])
def test_a_file_that_git_would_not_keep_has_no_id_of_git(folder, monkeypatch, size, by_git):
    monkeypatch.setattr(module, "REGULAR", 8)
    folder.local("a.txt").write_bytes(b"x" * size)
    found = folder.identity("a.txt")
    assert (found.size, found.sha256) == (size, hashlib.sha256(b"x" * size).hexdigest())
    assert (found.blob_id is not None) == by_git


def test_the_hub_keeps_files_of_up_to_16_mib_in_git():
    assert module.REGULAR == 16 * 2**20


def test_pieces_of_a_file_are_what_lies_between_the_places(folder):
    data = FILES["deep/b.bin"]
    places = [0, 1, 7, 8, 255, 256, 300, len(data)]
    spans = [*pairwise(places), (5, 5), (0, len(data)), (len(data) - 1, len(data) + 9), (len(data) + 1, len(data) + 2)]
    assert folder.ranges("deep/b.bin", spans) == [data[start:end] for start, end in spans]


def test_a_file_of_several_blocks_comes_in_blocks(folder):
    data = bytes(BLOCK) + b"rest"
    folder.local("a.txt").write_bytes(data)
    assert [len(piece) for piece in folder.pieces("a.txt")] == [BLOCK, 4]
    assert hashlib.sha256(b"".join(map(bytes, folder.pieces("a.txt")))).hexdigest() == folder.sha256("a.txt")
