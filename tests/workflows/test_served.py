"""Every state in a folder of its own: the same answers as in memory, through a stand-in for vLLM."""

import json
import os
import runpy
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import forked
import models
import pytest

from spin_hub.errors import MissingDependency, ServerFailed, UsageError
from spin_hub.metrics import vllm_backend
from spin_hub.metrics.request import EvalRequest
from spin_hub.recipe import Destination, Limits, ScoringRecipe, SelectionRecipe
from spin_hub.workflows.edit import EditRequest, edit
from spin_hub.workflows.evaluate import evaluate

FAKE = Path(__file__).parents[1] / "fake_vllm"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A base with weights larger than usual, so that the likeliest token is so by far; and its edited model."""
    folder = tmp_path_factory.mktemp("served")
    base = models.save_checkpoint(folder / "base", models.tiny_config(num_hidden_layers=2, initializer_range=0.3))
    recipe = SelectionRecipe(p=5e-2, q=1e-1)
    request = EditRequest(str(base), ScoringRecipe(samples=2), recipe, limits=Limits())
    edit(EditRequest(**{**vars(request), "destination": Destination(folder / "edited")}))
    return base, folder / "edited"


@pytest.fixture
def vllm(monkeypatch):
    monkeypatch.setattr(vllm_backend, "find_spec", lambda _: object())
    monkeypatch.setenv("PYTHONPATH", str(FAKE), prepend=os.pathsep)


@pytest.fixture
def forked_vllm(vllm, monkeypatch):
    """The program that calls vLLM runs in a fork, where everything is imported already."""

    def run(command, **_):
        assert command[:2] == [sys.executable, "-m"]
        module, *arguments = command[2:]

        def main():
            sys.path.insert(0, str(FAKE))
            runpy.run_module(module, run_name="__main__", alter_sys=True)

        return forked.run(main, [module, *arguments], Path.cwd(), os.environ)

    monkeypatch.setattr(vllm_backend, "subprocess", SimpleNamespace(run=run))


def answers(path):
    return [tuple(json.loads(line).values()) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("way", ["own", "delta", "against"])
def test_the_answers_are_those_of_the_loaded_model(folders, forked_vllm, tmp_path, monkeypatch, way):
    base, edited = map(str, folders)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    how = {
        "own": {"model": edited},
        "delta": {"model": base, "delta": edited},
        "against": {"model": edited, "against": base},
    }[way]
    request = {**how, "suite": "awareness", "limit": 2, "new_tokens": 6, "record": False, "dtype": "float32"}
    here = evaluate(EvalRequest(**request, answers=tmp_path / "here.jsonl")).evaluation
    there = evaluate(EvalRequest(**request, answers=tmp_path / "there.jsonl", backend="vllm")).evaluation
    assert answers(tmp_path / "here.jsonl") == answers(tmp_path / "there.jsonl")
    assert len({answer for _, state, _, answer in answers(tmp_path / "here.jsonl") if state != "control"}) > 2
    assert (here["states"], here["metrics"]) == (there["states"], there["metrics"])
    assert there["about"]["answers"]["backend"] == "vllm"
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.moderate
def test_a_model_without_an_edit_is_asked_where_it_lies_by_a_process_of_its_own(folders, vllm, monkeypatch):
    monkeypatch.setattr(vllm_backend, "write_patched_copy", lambda *_: pytest.fail("a copy was written"))
    found = evaluate(EvalRequest(str(folders[0]), suite="safety", limit=1, new_tokens=2, backend="vllm"))
    assert found.evaluation["states"] == ["base"]


def test_what_goes_wrong_is_said(folders, monkeypatch, tmp_path, vllm):
    base = shutil.copytree(folders[0], tmp_path / "broken")
    request = EvalRequest(str(base), suite="safety", limit=1, new_tokens=2, backend="vllm")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ServerFailed, match="ended with 1"):
        evaluate(request)
    monkeypatch.undo()
    with pytest.raises(MissingDependency, match="vllm"):
        evaluate(request)
    with pytest.raises(UsageError, match="alone"):
        EvalRequest(str(base), suite="full", backend="vllm")
