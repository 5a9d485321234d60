"""The same decisions as the published code on a real model, with data that this project did not make.

The reference data stand beside the checkout and are never part of it; where they are missing the tests say so.
"""

import json
from pathlib import Path

import pytest

from spin_hub.artifacts.delta_file import read_delta
from spin_hub.artifacts.ranking_file import read_ranking
from spin_hub.core.delta import Delta
from spin_hub.recipe import Destination, ScoringRecipe, SelectionRecipe
from spin_hub.workflows.edit import EditRequest, edit
from spin_hub.workflows.score import score
from spin_hub.workflows.select import select

pytestmark = pytest.mark.moderate

GOLDEN = "smollm2-135m_n8_seed0_mlp_1e-4.json"
SETS = {"privacy": "d1", "fairness": "d2", "general": "general"}


@pytest.fixture(scope="module")
def golden(reference):
    return json.loads((reference / "golden" / GOLDEN).read_text("utf-8"))


def scoring_recipe(reference: Path, golden, accumulate: str) -> ScoringRecipe:
    return ScoringRecipe(
        sets={name: str(reference / "data" / f"{golden[key]}.csv") for name, key in SETS.items()},
        samples=golden["nsamples"],
        seed=golden["seed"],
        dtype="float32",
        tokenization="published",
        accumulate=accumulate,
    )


def differing(delta: Delta, golden, key: str) -> dict[str, int]:
    """Per tensor, how many weights one side has and the other has not."""
    selection = delta.selection
    return {name: len(set(selection.of(name).tolist()) ^ set(entry[key])) for name, entry in golden["tensors"].items()}


def test_the_paper_rule_decides_as_the_reference_does(smollm2, reference, golden, tmp_path):
    selection = SelectionRecipe(p=golden["p"], q=golden["q"])
    scoring = scoring_recipe(reference, golden, "float32")
    # What the edit does is not in question here, and measuring it takes longer than all the rest.
    edit(EditRequest(str(smollm2), scoring, selection, "model", Destination(tmp_path / "edited"), limits=None))
    delta = read_delta(tmp_path / "edited" / "spin" / "spin_delta.safetensors")
    expected = sum(len(entry["paper"]) for entry in golden["tensors"].values())
    assert set(delta.edits) <= set(golden["tensors"])
    assert sum(differing(delta, golden, "paper").values()) <= 0.001 * expected


def test_the_published_rule_decides_as_the_published_code_does(smollm2, reference, golden, tmp_path):
    path = tmp_path / "ranking.safetensors"
    score(str(smollm2), scoring_recipe(reference, golden, "model"), Destination(path), golden["q"])
    select(path, SelectionRecipe("published", p=golden["p"], q=golden["q"]), Destination(tmp_path / "delta"))
    delta = read_delta(tmp_path / "delta" / "spin_delta.safetensors")
    expected = sum(len(entry["reference_zeroed"]) for entry in golden["tensors"].values())
    assert set(delta.edits) <= set(golden["tensors"])
    wrong = differing(delta, golden, "reference_zeroed")
    assert sum(wrong.values()) <= 0.01 * expected

    ranking = read_ranking(path).ranking
    for name, entry in golden["tensors"].items():
        tops = ranking.tensors[name].tops
        equal = all(set(tops[ours].indices.tolist()) == set(entry[f"top_{theirs}"]) for ours, theirs in SETS.items())
        assert not (equal and wrong[name]), name
