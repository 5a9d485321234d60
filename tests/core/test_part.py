"""Parts of a model."""

import numpy as np
import pytest

from spin_hub.core.names import WHOLE, Part
from spin_hub.core.ranking import RankedTensor, Ranking, TopWeights
from spin_hub.errors import UsageError

MATRICES = ("mlp.up_proj", "self_attn.q_proj")
NAMES = [f"model.layers.{layer}.{matrix}.weight" for layer in range(12) for matrix in MATRICES]


def ranking():
    top = TopWeights(np.array([0]), np.array([1], np.float32), np.zeros((1, 2), np.uint8))
    return Ranking({name: RankedTensor((2, 2), "BF16", {"fairness": top}) for name in [*NAMES, "lm_head.weight"]}, 0.5)


@pytest.mark.parametrize(
    ("part", "count"),
    [
        (Part(), 25),
        (Part("mlp"), 12),
        (Part("self_attn"), 12),
        (Part("*.up_proj.weight"), 12),
        (Part(layers="3"), 2),
        (Part(layers="3-5"), 6),
        (Part("mlp", "10-40"), 2),
        (Part("nothing"), 0),
    ],
    ids=str,
)
def test_a_part_is_matrices_of_layers(part, count):
    found = ranking().within(part)
    assert len(found.tensors) == count
    assert found.keep == 0.5


@pytest.mark.parametrize("layers", ["", "-", "a", "3-", "5-3", "1-2-3", "-4", "1,2", "1\n", "²", "1" * 5000])
def test_layers_of_another_form_are_refused(layers):
    with pytest.raises(UsageError, match="Layers"):
        Part(layers=layers)


def test_a_part_is_told_apart_by_its_name():
    assert (str(WHOLE), str(Part("mlp")), str(Part("mlp", "3")), str(Part(layers="3-4"))) == (
        "all", "mlp", "mlp, layers 3", "layers 3-4",
    )  # fmt: skip
