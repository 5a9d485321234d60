"""What Windows needs, forced on any system."""

import errno
import os

import numpy as np
import pytest

from spin_hub.artifacts import atomic, container
from spin_hub.artifacts.atomic import Placed, new_file, new_folder
from spin_hub.artifacts.container import mapped, mapped_raw, write_container
from spin_hub.checkpoint import system
from spin_hub.checkpoint.header import read_header
from spin_hub.errors import OutputNotAllowed
from spin_hub.recipe import Destination


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(system, "WINDOWS", True)


@pytest.mark.parametrize("name", ["con", "NUL", "aux.safetensors", "Com1.tar.gz", "LPT9", "com²", "CONIN$", "nul .txt"])
def test_names_of_devices(name):
    assert system.is_device(name)
    place = Placed.of(Destination(), name).path
    assert len(place.parts) == 1
    assert not system.is_device(place.name)


@pytest.mark.parametrize("name", ["console", "com", "com10", "null", "a.con", "nul-spin", "x con", ""])
def test_names_that_only_look_like_those_of_devices(name):
    assert not system.is_device(name)


@pytest.mark.parametrize("name", ["x.", "x...", "x" * 119 + "...", "名" * 100, "a\ud800b"])
def test_a_default_name_is_one_that_every_system_keeps_as_it_is(name):
    place = Placed.of(Destination(), name).path.name
    assert place == place.rstrip(". ")
    assert 0 < len(place.encode()) <= 120


@pytest.mark.parametrize("name", ["nul", "out:1", "what?", "out.", "out ", "a|b", 'a"b'])
def test_a_name_that_windows_does_not_allow_is_refused_there(name, windows, tmp_path):
    with pytest.raises(OutputNotAllowed, match="Windows"):
        Placed(tmp_path / name, overwrite=False).check([])


@pytest.mark.skipif(os.name == "nt", reason="these names are allowed elsewhere")
@pytest.mark.parametrize("name", ["nul", "out:1", "out."])
def test_other_systems_allow_it(name, tmp_path):
    Placed(tmp_path / name, overwrite=False).check([])


def test_an_ordinary_name_is_allowed_on_windows(windows, tmp_path):
    Placed(tmp_path / "Qwen2-0.5B-spin", overwrite=False).check([])


class Held:
    """A renaming that another program prevents some times."""

    def __init__(self, times, error=PermissionError):
        self.times, self.error, self.calls = times, error, 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.times:
            raise self.error(errno.EACCES, "in use")


def test_a_renaming_is_tried_again_on_windows(windows, monkeypatch):
    slept = []
    monkeypatch.setattr(system.time, "sleep", slept.append)
    held = Held(3)
    system.renamed(held)
    assert (held.calls, len(slept)) == (4, 3)


@pytest.mark.parametrize(("error", "calls"), [(PermissionError, 6), (FileExistsError, 1)])
def test_a_renaming_that_stays_impossible_fails_as_itself(windows, monkeypatch, error, calls):
    monkeypatch.setattr(system.time, "sleep", lambda _: None)
    held = Held(100, error)
    with pytest.raises(error, match="in use"):
        system.renamed(held)
    assert held.calls == calls


@pytest.mark.skipif(os.name == "nt", reason="it is tried again there")
def test_elsewhere_a_renaming_is_tried_once():
    held = Held(1)
    with pytest.raises(PermissionError):
        system.renamed(held)
    assert held.calls == 1


def test_outputs_appear_on_windows_too(windows, tmp_path):
    for text in ("old", "new"):
        with new_folder(Placed(tmp_path / "out", overwrite=True)) as work:
            (work / "a").write_text(text)
        with new_file(tmp_path / "file") as work:
            work.write_text(text)
    assert ((tmp_path / "out" / "a").read_text(), (tmp_path / "file").read_text()) == ("new", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_values_are_the_same_mapped_or_read(tmp_path, monkeypatch):
    path = tmp_path / "file.safetensors"
    raw = np.arange(12, dtype=np.uint8).reshape(6, 2)
    arrays = {
        "a": ("I32", np.array([3, 1, 2], "<i4")), "b": ("F32", np.array([1.5], "<f4")), "c": ("BF16", raw),
        "d": ("I64", np.empty(0, "<i8")),
    }  # fmt: skip
    write_container(path, arrays, {"kind": "x"})
    header = read_header(path)

    def values():
        return [*(mapped(path, header, name, arrays[name][0]) for name in "abd"), mapped_raw(path, header, "c", "BF16")]

    as_maps = values()
    monkeypatch.setattr(system, "WINDOWS", True)
    for one, other in zip(as_maps, values(), strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
        assert not isinstance(other, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        values()[0][0] = 7


@pytest.mark.skipif(os.name == "nt", reason="these are codes of other systems")
def test_what_the_library_reports_has_the_systems_code(tmp_path, monkeypatch):
    for text, code in (("Error: os error 28", errno.ENOSPC), ("Error", errno.EIO)):

        def fail(*_, text=text, **__):
            raise container.SafetensorError(text)

        monkeypatch.setattr(container, "serialize_file", fail)
        with pytest.raises(OSError) as caught:
            write_container(tmp_path / "x", {}, {})
        assert (caught.value.errno, caught.value.filename) == (code, str(tmp_path / "x"))


def test_on_windows_the_code_is_its_own(windows, tmp_path):
    error = system.system_error(112, "full", tmp_path)
    # Elsewhere the fourth argument, Windows' code, is ignored.
    assert (error.errno, error.filename) == (errno.ENOSPC if os.name == "nt" else 0, str(tmp_path))


@pytest.mark.parametrize("process", [10**9, 10**30])
def test_no_process_has_a_number_beyond_the_systems(process):
    assert not system.process_lives(process)


def test_this_process_lives():
    assert system.process_lives(os.getpid())


def test_leftovers_ask_the_same(monkeypatch, tmp_path):
    (tmp_path / f".out.{atomic._machine()}-4711-00000000.partial").touch()
    monkeypatch.setattr(atomic, "process_lives", lambda process: process == 4711)
    assert atomic.remove_leftovers(tmp_path / "out") == ()
    monkeypatch.setattr(atomic, "process_lives", lambda process: False)
    assert len(atomic.remove_leftovers(tmp_path / "out")) == 1
