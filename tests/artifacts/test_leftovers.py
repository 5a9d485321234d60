"""What a killed process left is removed, and nothing else."""

import os
import subprocess
import sys

import pytest

from spin_hub.artifacts.atomic import beside, remove_leftovers


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def named(place, process, machine=None):
    own = beside(place).name
    here, _, rest = own.removeprefix(f".{place.name}.").partition("-")
    random, _, suffix = rest.partition("-")[2].partition(".")
    tail = f"{int(random, 16) ^ 1:08x}.{suffix}"
    return place.with_name(f".{place.name}.{machine or here}-{process}-{tail}")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_the_leftovers_of_a_dead_process_go(tmp_path, dead):
    place = tmp_path / "out"
    folder, file, link = (named(place, dead) for _ in range(3))
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"half")
    file.write_bytes(b"half")
    (tmp_path / "elsewhere").mkdir()
    link.symlink_to(tmp_path / "elsewhere")
    assert set(remove_leftovers(place)) == {folder, file, link}
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_those_of_a_process_whose_number_is_now_ours_go_too_but_not_our_own(tmp_path):
    place = tmp_path / "out"
    stale, own = named(place, os.getpid()), beside(place)
    stale.touch()
    own.touch()
    assert remove_leftovers(place) == (stale,)
    assert own.exists()


def test_what_lives_or_is_anothers_stays(tmp_path, dead):
    place = tmp_path / "out"
    kept = [
        named(place, os.getppid()),
        named(place, dead, machine="abcdef"),
        named(tmp_path / "other", dead),
        tmp_path / ".out.partial",
        tmp_path / ".out.notes.partial",
        tmp_path / "out.partial",
    ]
    for path in kept:
        path.touch()
    assert remove_leftovers(place) == ()
    assert all(path.exists() for path in kept)
    assert remove_leftovers(tmp_path / "nowhere" / "out") == ()
