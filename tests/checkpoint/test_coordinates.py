import pytest
import torch
from safetensors.torch import load_file

from spin_hub.checkpoint.coordinates import check_identity
from spin_hub.checkpoint.index import read_index
from spin_hub.errors import CoordinatesDiffer

NAME = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def weight(tiny):
    return load_file(tiny / "model.safetensors")[NAME]


def test_equal_values_pass_also_in_another_precision(tiny, weight):
    check_identity(read_index(tiny), NAME, weight)
    check_identity(read_index(tiny), NAME, weight.bfloat16())


def test_one_bit_is_seen(tiny, weight):
    weight.view(torch.int32)[0, 0] ^= 1
    with pytest.raises(CoordinatesDiffer, match="values"):
        check_identity(read_index(tiny), NAME, weight)


def test_minus_zero_is_not_zero(tiny, weight):
    with pytest.raises(CoordinatesDiffer, match="values"):
        check_identity(read_index(tiny), NAME, torch.zeros_like(weight).neg())


def test_names_shapes_and_types_are_checked(tiny, weight):
    with pytest.raises(CoordinatesDiffer, match="name"):
        check_identity(read_index(tiny), "ghost.weight", weight)
    with pytest.raises(CoordinatesDiffer, match="shape"):
        check_identity(read_index(tiny), NAME, weight.T)
