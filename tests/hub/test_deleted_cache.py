"""The Hub's cache is emptied by another process while a command reads it."""

import shutil

import pytest
from pushing import files_of

RATIOS = ("--p", "5e-2", "--q", "1e-1", "--samples", "2", "--no-eval")


def emptied(desk, function):
    """A function before which somebody empties the cache."""

    def called(*arguments, **options):
        shutil.rmtree(desk.home / "hub", ignore_errors=True)
        return function(*arguments, **options)

    return called


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (("edit", "org/tiny", *RATIOS, "-o", "out"), "spin_hub.workflows.edit.score_prepared"),
        (("edit", "org/tiny", *RATIOS, "-o", "out"), "spin_hub.exports.native.write_model_folder"),
        (("apply", "alice/there", "org/tiny", "-o", "out"), "spin_hub.workflows.apply.write_model_folder"),
        (("revert", "alice/there", "-o", "out"), "spin_hub.workflows.revert.read_index"),
    ],
    ids=["edit scores", "edit writes", "apply writes", "revert reads"],
)
def test_it_is_a_sentence_nothing_is_left_and_the_same_command_ends(desk, monkeypatch, command, place):
    from importlib import import_module

    room, name = place.rsplit(".", 1)
    module = import_module(room)
    with monkeypatch.context() as patched:
        patched.setattr(module, name, emptied(desk, getattr(module, name)))
        done = desk.run(*command, "--json")
    assert done.code == 1
    assert done.error["message"].endswith(".")
    assert not [file for file in files_of(desk.folder) if file.startswith(("out/", ".out"))]
    shutil.rmtree(desk.folder / "out.partial", ignore_errors=True)
    assert desk.run(*command, "--json").code == 0
