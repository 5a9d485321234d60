"""Both engines, in any batch size, find the published code's top sets on a real model.

The upper third of the layers shows it; :mod:`test_reference` takes all of them through the commands.
"""

import json

import pytest
import torch

from spin_hub.checkpoint.index import read_index
from spin_hub.data.examples import make_examples
from spin_hub.data.sampling import Sampling, read_sample
from spin_hub.hub.resolve import resolve_dataset
from spin_hub.models.device import Placement
from spin_hub.models.load import load_model, load_tokenizer
from spin_hub.recipe import ScoringRecipe
from spin_hub.scoring.choosing import make_engine
from spin_hub.scoring.targets import find_targets

pytestmark = pytest.mark.moderate

GOLDEN = "smollm2-135m_n8_seed0_mlp_1e-4.json"
TARGET = "model.layers.2?.mlp.*"


@pytest.fixture(scope="module")
def golden(reference):
    return json.loads((reference / "golden" / GOLDEN).read_text("utf-8"))


@pytest.fixture(scope="module")
def loaded(smollm2, golden, reference):
    """The model, and the examples of the set "privacy"."""
    recipe = ScoringRecipe(samples=golden["nsamples"], tokenization="published")
    path = str(reference / "data" / f"{golden['d1']}.csv")
    sample = read_sample("privacy", path, Sampling(golden["nsamples"], golden["seed"]), resolve_dataset)
    examples = make_examples("privacy", sample.rows, load_tokenizer(smollm2, False), recipe)
    return load_model(read_index(smollm2), Placement(torch.device("cpu"), torch.float32), False), examples


@pytest.mark.parametrize("tokens", [1, 2048])
@pytest.mark.parametrize("name", ["whole", "layerwise"])
def test_the_top_sets_are_the_published_codes(loaded, golden, name, tokens):
    model, examples = loaded
    engine = make_engine(name, model, find_targets(model, TARGET), "float32").engine
    engine.tokens_per_batch = tokens
    matrices = list(engine.score({"privacy": examples}, golden["q"], lambda _: None))
    assert len(matrices) == 30
    expected = {matrix.parameter: set(golden["tensors"][matrix.parameter]["top_d1"]) for matrix in matrices}
    found = {matrix.parameter: set(matrix.indices.tolist()) for matrix in matrices}
    differ = sum(len(expected[name] - found[name]) for name in expected)
    assert differ <= 0.001 * sum(map(len, expected.values()))
