"""Scoring that is broken off goes on where it stopped, and gives the same bytes."""

import errno
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import killing
import models
import pytest
import torch
import verbs

import spin_hub
import spin_hub.progress
from spin_hub.artifacts.ranking_file import read_ranking
from spin_hub.errors import DeviceOutOfMemory, MemoryTooSmall, PartialDiffers
from spin_hub.recipe import Destination, ScoringRecipe
from spin_hub.scoring.layerwise import Passes
from spin_hub.scoring.resume import Partial
from spin_hub.scoring.sums import Sums

SCORING = ScoringRecipe(samples=3)
KEEP = 1e-1


class Noted:
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.tasks: list[str] = []

    def note(self, text):
        self.notes.append(text)

    def status(self, text):
        pass

    def task(self, title, total, unit):
        self.tasks.append(title)
        return spin_hub.progress.SILENT.task(title, total, unit)


def score(model, path, recipe=SCORING, keep=KEEP, reporter=None):
    return verbs.score(str(model), recipe, Destination(path, True), keep, reporter or Noted())


@pytest.fixture
def broken_off(monkeypatch):
    """Interrupts a scoring after so many layers."""

    def breaks(layers: int) -> None:
        add, count = Partial.add, []

        def interrupting(self, tensors):
            add(self, tensors)
            count.append(1)
            if len(count) == layers:
                raise KeyboardInterrupt

        monkeypatch.setattr(Partial, "add", interrupting)

    yield breaks


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_an_interrupted_scoring_goes_on_and_gives_equal_bytes(sharded, tmp_path, broken_off, monkeypatch, layers):
    score(sharded, tmp_path / "once")
    with monkeypatch.context() as patch:
        broken_off(layers)
        with pytest.raises(KeyboardInterrupt):
            score(sharded, tmp_path / "again")
        patch.undo()
    monkeypatch.undo()
    assert len(list((tmp_path / "again.partial").iterdir())) == layers
    assert not (tmp_path / "again").exists()
    noted = Noted()
    score(sharded, tmp_path / "again", reporter=noted)
    assert f"{3 * layers} of 12 matrices were scored before; going on with the others." in noted.notes
    assert (tmp_path / "again").read_bytes() == (tmp_path / "once").read_bytes()
    assert not (tmp_path / "again.partial").exists()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_resumable_scoring_does_not_go_forwards_again(sharded, tmp_path, broken_off, monkeypatch, layers):
    recipe = replace(SCORING, resumable=True)
    score(sharded, tmp_path / "once")
    with monkeypatch.context() as patch:
        broken_off(layers)
        with pytest.raises(KeyboardInterrupt):
            score(sharded, tmp_path / "again", recipe)
        patch.undo()
    monkeypatch.undo()
    kept = sorted(path.name for path in (tmp_path / "again.partial" / "passes").iterdir())
    # The interrupt came when a layer was finished and before its gradient was kept.
    left = 5 - layers
    assert kept == [f"gradient-{left:05}.pt", *(f"inputs-{layer:05}.pt" for layer in range(left))]
    with monkeypatch.context() as patch:
        real = Passes.forwards

        def of_the_check_alone(self, *args):
            assert self._journal is None
            return real(self, *args)

        patch.setattr(Passes, "forwards", of_the_check_alone)
        score(sharded, tmp_path / "again", recipe)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "once").read_bytes()
    assert not (tmp_path / "again.partial").exists()


@pytest.mark.parametrize("spoil", ["inputs", "gradient"])
def test_what_is_kept_is_used_only_where_all_of_it_is_there(sharded, tmp_path, broken_off, monkeypatch, spoil):
    recipe = replace(SCORING, resumable=True)
    score(sharded, tmp_path / "once")
    broken_off(2)
    with pytest.raises(KeyboardInterrupt):
        score(sharded, tmp_path / "again", recipe)
    monkeypatch.undo()
    next((tmp_path / "again.partial" / "passes").glob(f"{spoil}-*")).unlink()
    score(sharded, tmp_path / "again", recipe)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "once").read_bytes()


@pytest.mark.parametrize("engine", ["layerwise", "whole"])
def test_a_device_without_memory_is_tried_once_with_smaller_batches(sharded, tmp_path, monkeypatch, engine):
    recipe = replace(SCORING, engine=engine, samples=24)
    seen, room = [], [10**6]

    def add(self, batch, target, deltas, inputs):
        seen.append(batch.ids.shape)
        if batch.ids.numel() > room[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, batch, target, deltas, inputs)

    real = Sums.add
    monkeypatch.setattr(Sums, "add", add)
    score(sharded, tmp_path / "once", recipe)
    # There is room for the longest example alone, and for no batch of several.
    room[0] = max(tokens for _, tokens in seen)
    assert any(examples * tokens > room[0] for examples, tokens in seen)
    noted = Noted()
    score(sharded, tmp_path / "small", recipe, reporter=noted)
    assert any("going on with a quarter" in note for note in noted.notes)
    found, expected = (read_ranking(tmp_path / name).ranking for name in ("small", "once"))
    assert found.sets == expected.sets
    for name in found.sets:
        assert (found.top(name, 1e-2) & expected.top(name, 1e-2)).weights >= 0.99 * expected.top(name, 1e-2).weights
    room[0] = 1
    with pytest.raises(DeviceOutOfMemory):
        score(sharded, tmp_path / "never", recipe)
    assert not (tmp_path / "never").exists()


def test_a_killed_scoring_goes_on_and_gives_equal_bytes(tmp_path):
    model = models.save_checkpoint(tmp_path / "deep", models.tiny_config(num_hidden_layers=40))
    score(model, tmp_path / "once")
    command = ["score", str(model), "--samples", "3", "--keep", str(KEEP), "-o", str(tmp_path / "again")]
    partial = tmp_path / "again.partial"
    child = killing.start(command, tmp_path, killing.no_hub)
    deadline = time.monotonic() + 60
    while not list(partial.glob("layer-*")) and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (-signal.SIGKILL, 0)
    assert killing.run([*command, "--overwrite"], tmp_path, killing.no_hub)[0] == 0
    assert (tmp_path / "again").read_bytes() == (tmp_path / "once").read_bytes()
    assert not partial.exists()


def test_finished_layers_of_another_scoring_are_refused(sharded, tmp_path, broken_off, monkeypatch):
    broken_off(1)
    with pytest.raises(KeyboardInterrupt):
        score(sharded, tmp_path / "ranking")
    monkeypatch.undo()
    before = {path.name: path.read_bytes() for path in (tmp_path / "ranking.partial").iterdir()}
    for recipe, keep, said in [
        (ScoringRecipe(samples=3, seed=1), KEEP, "seed"),
        (ScoringRecipe(samples=2), KEEP, "samples"),
        (ScoringRecipe(samples=3, dtype="float32"), KEEP, "dtype"),
        (SCORING, 2e-1, "keep"),
    ]:
        with pytest.raises(PartialDiffers, match=said):
            score(sharded, tmp_path / "ranking", recipe, keep)
    assert {path.name: path.read_bytes() for path in (tmp_path / "ranking.partial").iterdir()} == before


def test_a_damaged_layer_is_scored_again(sharded, tmp_path, broken_off, monkeypatch):
    score(sharded, tmp_path / "once")
    broken_off(2)
    with pytest.raises(KeyboardInterrupt):
        score(sharded, tmp_path / "again")
    monkeypatch.undo()
    first = sorted((tmp_path / "again.partial").iterdir())[0]
    first.write_bytes(first.read_bytes()[:-7])
    score(sharded, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "once").read_bytes()


def test_a_limit_that_is_too_small_says_how_much_is_needed(sharded, tmp_path):
    with pytest.raises(MemoryTooSmall, match=r"it needs \d{3}\.\d MiB") as caught:
        score(sharded, tmp_path / "ranking", ScoringRecipe(samples=3, max_memory=500 << 20))
    assert "--engine" not in caught.value.hint
    enough = int(re.search(r"--max-memory (\d+)MiB", caught.value.hint)[1]) << 20
    score(sharded, tmp_path / "enough", ScoringRecipe(samples=3, max_memory=enough))
    assert not (tmp_path / "ranking").exists()


def test_layers_from_the_shards_give_the_ranking_of_a_loaded_model(sharded, tmp_path, monkeypatch):
    import spin_hub.scoring.memory as holding

    recipe = ScoringRecipe(samples=3, dtype="float32")
    score(sharded, tmp_path / "loaded", recipe)
    monkeypatch.setattr(holding, "is_mapped", lambda *_: False)
    monkeypatch.setattr(holding, "is_widened", lambda *_: False)
    real = holding._base

    def heavy(demand, weights):
        return {**real(demand, weights), "weights": (1 << 40) if weights == "loaded" else 0}

    monkeypatch.setattr(holding, "_base", heavy)
    noted = Noted()
    score(sharded, tmp_path / "shards", recipe, reporter=noted)
    assert (tmp_path / "shards").read_bytes() == (tmp_path / "loaded").read_bytes()


def test_inputs_that_do_not_fit_go_to_a_file(sharded, tmp_path, monkeypatch):
    import spin_hub.scoring.score as workflow
    from spin_hub.scoring.memory import MemoryBudget

    score(sharded, tmp_path / "memory")
    real, rooms = workflow.hold, []

    def tight(*arguments):
        found = real(*arguments)
        rooms.append(MemoryBudget(host=1000, folder=tmp_path))
        return spin_hub.scoring.score.replace(found, budget=rooms[-1])

    monkeypatch.setattr(workflow, "hold", tight)
    score(sharded, tmp_path / "file")
    assert rooms
    assert (tmp_path / "file").read_bytes() == (tmp_path / "memory").read_bytes()
    assert {path.name for path in Path(tmp_path).iterdir()} >= {"file", "memory"}
    assert not (tmp_path / "file.partial").exists()


@pytest.mark.parametrize("adds", [True, False])
def test_finished_layers_are_removed_while_another_process_is_at_work_there(tmp_path, monkeypatch, adds):
    folder = tmp_path / "out.partial"
    folder.mkdir()
    (folder / "layer-00000.safetensors").write_bytes(b"mine")
    real = os.rmdir

    def meanwhile(path, **options):
        if adds:
            (folder / "layer-00001.safetensors").write_bytes(b"theirs")
        else:
            real(path, **options)
        real(path, **options)

    monkeypatch.setattr(os, "rmdir", meanwhile)
    Partial(folder, None, None, KEEP).remove()
    assert [path.name for path in folder.glob("*")] == (["layer-00001.safetensors"] if adds else [])


def test_finished_layers_that_may_not_be_removed_are_told(tmp_path, monkeypatch):
    folder = tmp_path / "out.partial"
    folder.mkdir()
    monkeypatch.setattr(os, "rmdir", Mock(side_effect=PermissionError(errno.EACCES, "no")))
    with pytest.raises(PermissionError):
        Partial(folder, None, None, KEEP).remove()
