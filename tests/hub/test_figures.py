"""How much has to travel for a model of 7B weights: its delta, and the whole repo around it, from shapes alone."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import Base
from spin_hub.artifacts.delta_file import NAME as DELTA
from spin_hub.artifacts.open import base_ref, open_delta
from spin_hub.artifacts.write import describe, write_delta_folder
from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.checkpoint.layout import Layout
from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.core.stats import Estimate, Measurement
from spin_hub.evidence import Evidence
from spin_hub.hub.resolve import ModelSource
from spin_hub.recipe import ScoringRecipe, SelectionRecipe
from spin_hub.record import ModelRecord, ScoringRecord, SetRecord

HIDDEN, INTERMEDIATE, LAYERS, WEIGHTS = 3584, 18944, 28, 33
SHAPES = {
    "down_proj": (HIDDEN, INTERMEDIATE),
    "gate_proj": (INTERMEDIATE, HIDDEN),
    "up_proj": (INTERMEDIATE, HIDDEN),
}
COMMIT = "f2826a00ceef68f0f2b946d945ecc0477ce4450c"
LICENCE_BYTES = 11_343
FILES = (
    "LICENSE", "README.md", "config.json", "generation_config.json", "merges.txt", "model.safetensors.index.json",
    "tokenizer.json", "tokenizer_config.json", "vocab.json",
    *(f"model-{number:05}-of-00004.safetensors" for number in range(1, 5)),
)  # fmt: skip


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def qwen2(folder: Path) -> Base:
    """The base without its weights; of its files only the licence goes along with a delta."""
    folder.mkdir()
    (folder / "LICENSE").write_bytes(b"x" * LICENCE_BYTES)
    source = ModelSource("Qwen2-7B-Instruct", folder, "Qwen/Qwen2-7B-Instruct", COMMIT)
    return Base(source, CheckpointIndex(folder, {"model_type": "qwen2"}, {}, Layout(())))


def model() -> ModelRecord:
    card = {"license": "apache-2.0", "language": ["en"], "pipeline_tag": "text-generation"}
    files = {name: sha256(name) for name in FILES}
    return ModelRecord("Qwen2-7B-Instruct", "Qwen/Qwen2-7B-Instruct", COMMIT, files, {}, card, "qwen2")


def scoring() -> ScoringRecord:
    recipe = ScoringRecipe(dtype="bfloat16", device="cuda")
    sets = tuple(
        SetRecord(name, spec, "CC0-1.0", 128, 128, 10_000, 7_000, sha256(name), sha256(spec))
        for name, spec in recipe.sets.items()
    )
    versions = {
        "spin_hub": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0", "numpy": "2.4.6",
        "huggingface_hub": "2.4.0", "safetensors": "0.8.0", "datasets": "5.2.0", "system": "Linux",
        "machine": "x86_64",
    }  # fmt: skip
    return ScoringRecord(recipe, sets, versions)


def evidence() -> Evidence:
    states = ("base", "edited", "control")
    values = {state: Estimate(0.123456789012, 0.1, 0.2, 40) for state in states}
    metrics = tuple(
        Measurement(name=name, label=name, axis=axis, unit="nats per token", better="lower", values=values)
        for name, axis in (("kl", None), ("perplexity", None), ("preference", "fairness"), ("preference", "privacy"))
    )
    return Evidence(states, metrics, {"general_examples": 32, "pairs": {"fairness": 40, "privacy": 40}})


def edits() -> dict[str, TensorEdit]:
    """At the paper's ratios: random weights and values, which no file can hold in fewer bytes."""
    random = np.random.default_rng(0)
    found = {}
    for layer in range(LAYERS):
        for matrix, shape in SHAPES.items():
            indices = np.sort(random.choice(HIDDEN * INTERMEDIATE, WEIGHTS, replace=False, shuffle=False))
            values = random.integers(0, 256, (WEIGHTS, 2), np.uint8)
            found[f"model.layers.{layer}.mlp.{matrix}.weight"] = TensorEdit(shape, "BF16", indices, values)
    return found


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that `edit --as delta` leaves for a push."""
    folder = tmp_path_factory.mktemp("figures")
    selected = edits()
    method = {**SelectionRecipe().to_json(), "tensors": len(selected), "weights": WEIGHTS * len(selected)}
    delta = Delta(selected, base_ref(model()), method)
    record = describe("delta", delta, model(), scoring(), len(selected))
    record = replace(record, evaluation=evidence().to_json())
    write_delta_folder(Placed(folder / "repo", False), qwen2(folder / "base"), delta, record)
    return folder / "repo"


def test_a_delta_for_a_model_of_7b_weights_is_below_40_kb(repo):
    delta, _ = open_delta(repo)
    assert (len(delta.edits), delta.weights) == (84, 84 * 33)
    assert (repo / DELTA).stat().st_size < 40_000


def test_its_whole_repo_is_below_400_kb(repo):
    sizes = {path.relative_to(repo).as_posix(): path.stat().st_size for path in repo.rglob("*") if path.is_file()}
    assert sizes.keys() == {"README.md", "LICENSE", "heat-map.png", "spin.json", DELTA}
    assert sizes["LICENSE"] == LICENCE_BYTES
    assert sum(sizes.values()) < 400_000, sizes
