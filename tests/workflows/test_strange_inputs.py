"""What only a stranger would send, through the verbs."""

import json
import shutil

import numpy as np
import pytest
from fuzz_seeds import records

from spin_hub.artifacts.delta_file import write_delta
from spin_hub.artifacts.recipe_file import read_recipe_file
from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.errors import CorruptFile, SpinHubError
from spin_hub.recipe import Destination, ScoringRecipe, SelectionRecipe
from spin_hub.workflows.card import card
from spin_hub.workflows.edit import EditRequest, edit
from spin_hub.workflows.inspect import inspect


@pytest.fixture
def scalar(tmp_path):
    """The delta of a tensor without dimensions."""
    edit = TensorEdit((), "F32", np.array([0]), np.ones((1, 4), np.uint8))
    write_delta(tmp_path / "spin_delta.safetensors", Delta({"scale": edit}, BaseRef(), {}))
    return tmp_path


def test_a_scalar_can_be_inspected(scalar):
    assert inspect(scalar).data["tensors"]["scale"]["weights"] == 1


def test_a_readme_that_is_no_text_is_named(scalar):
    (scalar / "spin.json").write_bytes(records()[1])
    (scalar / "README.md").write_bytes(b"\x80\x81")
    with pytest.raises(CorruptFile, match="not text"):
        card(scalar)


@pytest.mark.parametrize("missing", [b'"ratios"', b'"p"'])
def test_a_record_that_lacks_what_a_recipe_needs_is_refused(missing, tmp_path):
    (tmp_path / "recipe.json").write_bytes(records()[0].replace(missing, b'"other"'))
    with pytest.raises(CorruptFile):
        read_recipe_file(tmp_path / "recipe.json")


@pytest.mark.parametrize(
    ("name", "value"),
    [("architectures", [7]), ("vocab_size", 7), ("vocab_size", "x"), ("hidden_size", -1), ("dtype", {}),
     ("num_attention_heads", 0), ("rope_parameters", []), ("tie_word_embeddings", [1]), ("text_config", {"a": 1}),
     ("hidden_act", "\x1b[31m")],
)  # fmt: skip
def test_a_config_that_transformers_cannot_use_is_refused(tiny, tmp_path, name, value):
    folder = shutil.copytree(tiny, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, name: value}))
    request = EditRequest(str(folder), ScoringRecipe(samples=2), SelectionRecipe(p=1e-2, q=1e-1), "delta",
                          Destination(tmp_path / "out"), None)  # fmt: skip
    try:
        edit(request)
    except SpinHubError:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    else:
        assert name in ("dtype", "text_config", "tie_word_embeddings", "rope_parameters")
