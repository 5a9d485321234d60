import os
import shutil
import sys
from pathlib import Path

import pytest

from spin_hub.artifacts.atomic import Placed, new_file, new_folder
from spin_hub.errors import NoSpace, OutputExists, OutputNotAllowed
from spin_hub.recipe import Destination

OUT = Path("out")
INTERRUPTIONS = [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit]


def fill(folder, text="new"):
    (folder / "sub").mkdir()
    (folder / "sub" / "a.txt").write_text(text)


def old_output():
    OUT.mkdir()
    (OUT / "old.txt").write_text("old")


def everything():
    return sorted(str(path) for path in Path().rglob("*"))


def test_a_folder_appears_with_what_was_put_in_it():
    with new_folder(Placed(OUT, overwrite=False)) as work:
        fill(work)
    assert everything() == ["out", "out/sub", "out/sub/a.txt"]


def test_a_folder_appears_only_at_the_end():
    with new_folder(Placed(OUT, overwrite=False)) as work:
        fill(work)
        assert not OUT.exists()


def test_the_work_is_done_beside_the_target_under_a_hidden_name():
    with new_folder(Placed(OUT, overwrite=False)) as work:
        assert work.parent == Path.cwd()
        assert work.name.startswith(".out.")
        assert work.name.endswith(".partial")


def test_missing_parents_are_made():
    with new_folder(Placed(Path("a/b/out"), overwrite=False)) as work:
        fill(work)
    assert Path("a/b/out/sub/a.txt").read_text() == "new"


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_an_interrupted_folder_leaves_nothing(interruption):
    with pytest.raises(interruption), new_folder(Placed(OUT, overwrite=False)) as work:
        fill(work)
        raise interruption
    assert everything() == []


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_an_interrupted_replacement_leaves_the_old_output(interruption):
    old_output()
    with pytest.raises(interruption), new_folder(Placed(OUT, overwrite=True)) as work:
        fill(work)
        raise interruption
    assert everything() == ["out", "out/old.txt"]


def test_overwriting_swaps_the_whole_folder():
    old_output()
    with new_folder(Placed(OUT, overwrite=True)) as work:
        fill(work)
        assert (OUT / "old.txt").exists()
    assert everything() == ["out", "out/sub", "out/sub/a.txt"]


def test_overwriting_may_replace_a_file():
    OUT.write_text("old")
    with new_folder(Placed(OUT, overwrite=True)) as work:
        fill(work)
    assert everything() == ["out", "out/sub", "out/sub/a.txt"]


def test_an_empty_folder_is_filled_without_overwriting():
    OUT.mkdir()
    with new_folder(Placed(OUT, overwrite=False)) as work:
        fill(work)
    assert everything() == ["out", "out/sub", "out/sub/a.txt"]


def test_a_target_that_came_into_being_meanwhile_is_kept():
    with pytest.raises(OutputExists), new_folder(Placed(OUT, overwrite=False)) as work:
        fill(work)
        old_output()
    assert everything() == ["out", "out/old.txt"]


def test_a_swap_that_fails_brings_the_old_output_back(monkeypatch):
    old_output()
    rename = Path.rename

    def refuse_the_new_one(path, target):
        if target == Path.cwd() / "out" and (path / "sub").exists():
            raise OSError("no")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new_one)
    with pytest.raises(OSError, match="no"), new_folder(Placed(OUT, overwrite=True)) as work:
        fill(work)
    assert everything() == ["out", "out/old.txt"]


def test_a_file_appears_with_what_was_written():
    with new_file(OUT) as work:
        work.write_text("new")
        assert not OUT.exists()
    assert (everything(), OUT.read_text()) == (["out"], "new")


def test_a_file_replaces_an_older_one():
    OUT.write_text("old")
    with new_file(OUT) as work:
        work.write_text("new")
        assert OUT.read_text() == "old"
    assert (everything(), OUT.read_text()) == (["out"], "new")


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_an_interrupted_file_leaves_nothing(interruption):
    with pytest.raises(interruption), new_file(OUT) as work:
        work.write_text("new")
        raise interruption
    assert everything() == []


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_an_interrupted_file_leaves_the_old_one(interruption):
    OUT.write_text("old")
    with pytest.raises(interruption), new_file(OUT) as work:
        work.write_text("new")
        raise interruption
    assert (everything(), OUT.read_text()) == (["out"], "old")


def test_a_file_cannot_replace_a_folder():
    old_output()
    with pytest.raises(OSError), new_file(OUT) as work:
        work.write_text("new")
    assert everything() == ["out", "out/old.txt"]


def test_a_new_output_is_allowed():
    Placed(OUT, overwrite=False).check([Path("input")], needed=1)
    assert everything() == []


def test_a_new_output_below_missing_folders_is_allowed():
    Placed(Path("a/b/c"), overwrite=False).check([])
    assert everything() == []


def test_an_empty_folder_is_allowed():
    OUT.mkdir()
    Placed(OUT, overwrite=False).check([])


@pytest.mark.parametrize("make", [old_output, OUT.touch], ids=["folder", "file"])
def test_an_output_that_exists_is_refused(make):
    make()
    with pytest.raises(OutputExists):
        Placed(OUT, overwrite=False).check([])


@pytest.mark.parametrize("make", [old_output, OUT.touch], ids=["folder", "file"])
def test_an_output_that_exists_may_be_overwritten(make):
    make()
    Placed(OUT, overwrite=True).check([])


@pytest.mark.parametrize("place", ["input", "input/out", "input/a/b", "input/../input/x", "other/../input"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_written_within_an_input(place, overwrite):
    Path("input").mkdir()
    with pytest.raises(OutputNotAllowed, match="within"):
        Placed(Path(place), overwrite).check([Path("elsewhere"), Path("input")])


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_nothing_is_written_within_an_input_through_a_link():
    Path("input").mkdir()
    Path("link").symlink_to("input")
    with pytest.raises(OutputNotAllowed, match="within"):
        Placed(Path("link/out"), overwrite=False).check([Path("input")])


def test_an_input_file_is_not_overwritten():
    Path("input.safetensors").touch()
    with pytest.raises(OutputNotAllowed, match="within"):
        Placed(Path("input.safetensors"), overwrite=True).check([Path("input.safetensors")])


@pytest.mark.parametrize("name", ["out/input", "out/a/b/input"])
def test_what_holds_an_input_is_not_replaced(name):
    Path(name).mkdir(parents=True)
    with pytest.raises(OutputNotAllowed, match="holds"):
        Placed(OUT, overwrite=True).check([Path(name)])


def test_a_neighbour_with_a_longer_name_is_no_input():
    Path("input").mkdir()
    Placed(Path("input-spin"), overwrite=False).check([Path("input")])


@pytest.mark.parametrize("place", [".", "..", "/", "../.."])
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_working_folder_and_its_parents_are_not_replaced(place, overwrite):
    with pytest.raises(OutputNotAllowed, match="working folder"):
        Placed(Path(place), overwrite).check([])


@pytest.mark.parametrize("place", ["~", "~/..", "home", "home/me"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_home_and_its_parents_are_not_replaced(monkeypatch, place, overwrite):
    Path("home/me").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(Path("home/me").resolve()))
    with pytest.raises(OutputNotAllowed, match="home"):
        Placed(Path(place), overwrite).check([])


def test_a_folder_in_the_home_is_allowed(monkeypatch):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    with new_folder(Placed(Path("~/out"), overwrite=False)) as work:
        fill(work)
    assert everything() == ["out", "out/sub", "out/sub/a.txt"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_git_checkout_is_not_replaced(kind):
    OUT.mkdir()
    (OUT / ".git").mkdir() if kind == "folder" else (OUT / ".git").touch()
    with pytest.raises(OutputNotAllowed, match="git"):
        Placed(OUT, overwrite=True).check([])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused():
    Path("closed").mkdir(mode=0o500)
    with pytest.raises(OutputNotAllowed, match="may be written"):
        Placed(Path("closed/out"), overwrite=False).check([])


@pytest.mark.parametrize("place", ["file/out", "file/a/out"])
def test_a_parent_that_is_a_file_is_refused(place):
    Path("file").touch()
    with pytest.raises(OutputNotAllowed, match="not a folder"):
        Placed(Path(place), overwrite=False).check([])


def with_free(monkeypatch, free):
    usage = type(shutil.disk_usage("/"))(2**40, 2**40 - free, free)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)


def test_a_full_disk_is_refused_with_both_numbers(monkeypatch):
    with_free(monkeypatch, 3 << 30)
    with pytest.raises(NoSpace) as caught:
        Placed(OUT, overwrite=False).check([], needed=5 << 30)
    assert caught.value.facts == {"path": OUT, "needed": "5.0 GiB", "free": "3.0 GiB"}


def test_some_space_must_remain(monkeypatch):
    with_free(monkeypatch, 1000)
    with pytest.raises(NoSpace):
        Placed(OUT, overwrite=False).check([], needed=1000)


def test_enough_space_is_enough(monkeypatch):
    with_free(monkeypatch, 6 << 30)
    Placed(OUT, overwrite=False).check([], needed=5 << 30)


def test_without_a_path_the_default_name_is_taken():
    assert Placed.of(Destination(None, overwrite=True), "tiny-spin") == Placed(Path("tiny-spin"), overwrite=True)


def test_a_given_path_goes_before_the_default_name():
    assert Placed.of(Destination(OUT), "tiny-spin") == Placed(OUT, overwrite=False)


def test_a_failure_takes_away_the_folders_that_it_made(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_folder(Placed(tmp_path / "a" / "b" / "out", False)):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_an_interrupt_between_the_two_renames_brings_the_old_output_back(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")
    rename, calls = Path.rename, []

    def interrupted(self, other):
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), new_folder(Placed(target, True)) as work:
        (work / "new").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (target / "old").read_text() == "old"


@pytest.mark.parametrize(
    ("default", "name"),
    [
        ("../../x-spin", "x-spin"),
        ("/etc/passwd", "etc-passwd"),
        ("..", "output"),
        ("a\0b\n\x1b[2J", "a-b---2J"),
        ("a" * 500, "a" * 120),
        ("Ünï-1.5B@v2", "Ünï-1.5B@v2"),
    ],
)
def test_a_default_name_stays_in_the_working_folder(default, name):
    assert Placed.of(Destination(), default).path == Path(name)
