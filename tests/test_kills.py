"""Commands that are killed at random moments leave nothing or all, and the same command ends what they began.

Five moments a command; ``benchmarks/killing.py`` takes forty.
"""

import contextlib
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import killing
import models
import pytest
import server
import torch
from pushing import Desk, in_repo

pytestmark = pytest.mark.moderate

COUNT = 5
RATIOS = ("--p", "5e-2", "--q", "1e-1", "--samples", "2", "--seed", "3")
COMMANDS = {
    "score": ("score", "base", "--samples", "2", "--keep", "1e-2", "-o", "out/ranking.safetensors"),
    "edit": ("edit", "base", *RATIOS, "--no-eval", "-o", "out"),
    "apply": ("apply", "delta", "base", "-o", "out"),
    "revert": ("revert", "edited", "-o", "out"),
    "export": ("export", "delta", "--as", "peft", "--base", "base", "-o", "out"),
    "push": ("push", "edited", "--repo-id", "alice/tiny-spin"),
}


@dataclass
class Bench:
    """A folder with a base, its delta and its edited model, and a Hub with a person who may write."""

    folder: Path
    hub: server.LocalHub

    def client(self) -> contextlib.AbstractContextManager[None]:
        return Desk(self.hub, self.folder.parent).client(io.StringIO(), {"HF_TOKEN": "hf_alice"})


@contextlib.contextmanager
def set_up(place: Path) -> Iterator[Bench]:
    """Base, delta, edited model and Hub, in a new folder."""
    folder = place / "at work"
    folder.mkdir()
    models.save_checkpoint(folder / "base", models.tiny_config(tie_word_embeddings=True), torch.bfloat16, "40KB")
    with server.LocalHub() as hub:
        hub.add_user("alice", token="hf_alice")
        bench = Bench(folder, hub)
        for command in (("--as", "delta", "-o", "delta"), ("-o", "edited")):
            assert killing.run(["edit", "base", *RATIOS, "--no-eval", *command], folder, bench.client)[0] == 0
        yield bench


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with set_up(tmp_path_factory.mktemp("kills")) as found:
        yield found


def is_output(name: str) -> bool:
    return name.startswith(("out/", "out.partial/")) or name.endswith(".partial") or ".partial/" in name


def survive(bench: Bench, name: str, count: int, seed: int) -> int:
    """Kills a command at some moments; how many of the kills met it at work."""
    arguments, folder = list(COMMANDS[name]), bench.folder
    clear(bench)
    before = killing.files_of(folder)
    code, longest = killing.run(arguments, folder, bench.client)
    assert code == 0, (folder.parent / "said.txt").read_text()
    whole = killing.files_of(folder, lambda file: not is_output(file))
    pushed = state_of(bench)
    met = 0
    for after in killing.moments(count, longest, seed):
        clear(bench)
        met += killing.kill(arguments, folder, bench.client, after)
        left = killing.files_of(folder)
        # Nothing that was there has changed, and an output is there as a whole or not at all.
        assert {file: data for file, data in left.items() if not is_output(file)} == before
        out = {file: data for file, data in left.items() if file.startswith("out/") and ".partial" not in file}
        assert not out or out.keys() == {file for file in whole if file.startswith("out/")}
        assert state_of(bench) in ({}, pushed)
        code, _ = killing.run(arguments, folder, bench.client)
        # What was whole already is not made again.
        assert code == (1 if out else 0), (folder.parent / "said.txt").read_text()
        assert killing.files_of(folder, lambda file: not is_output(file)) == whole
        assert state_of(bench) == pushed
    clear(bench)
    return met


def state_of(bench: Bench) -> dict[str, bytes]:
    """What the repo that is pushed to holds."""
    if "alice/tiny-spin" not in bench.hub.repo_ids("model"):
        return {}
    return in_repo(bench.hub, "alice/tiny-spin")


def clear(bench: Bench) -> None:
    """Takes the output, finished layers and the repo away; whatever else a killed command left stays."""
    shutil.rmtree(bench.folder / "out.partial", ignore_errors=True)
    shutil.rmtree(bench.folder / "out", ignore_errors=True)
    if "alice/tiny-spin" in bench.hub.repo_ids("model"):
        bench.hub.delete("alice/tiny-spin")


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_that_is_killed_leaves_nothing_or_all_and_ends_when_it_is_run_again(bench, name):
    assert survive(bench, name, COUNT, seed=len(name)) > 0
