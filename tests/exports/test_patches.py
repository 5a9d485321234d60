"""Weight patches: what a loader that fills a tensor of NaN with them must get."""

import math

import numpy as np
import pytest
import torch
from deltas_of import DOWN, UP, delta_of
from safetensors.torch import load_file

from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.exports.live import weight_patches


def patched(tensor: torch.Tensor, patch) -> torch.Tensor:
    """As vLLM's loader was read to do it: NaN where nothing changes, one write over what is there."""
    flat = torch.full((math.prod(patch.shape),), math.nan, dtype=patch.dtype)
    flat.index_copy_(0, patch.indices.long(), patch.values)
    source = flat.view(patch.shape)
    return torch.where(source.isnan(), tensor, source)


@pytest.mark.parametrize("name", ["tiny", "sharded"])
def test_a_loader_gets_the_edited_checkpoint_and_the_base_back(request, name):
    folder = request.getfixturevalue(name)
    delta = delta_of(folder)
    base = {key: tensor for file in folder.glob("*.safetensors") for key, tensor in load_file(file).items()}
    state = dict(base)
    for patch in weight_patches(delta):
        state[patch.name] = patched(state[patch.name], patch)
    for key, tensor in base.items():
        expected = tensor.clone()
        expected.view(-1)[torch.from_numpy(delta.selection.of(key).copy())] = 0
        assert torch.equal(state[key], expected)
    for patch in weight_patches(delta, undo=True):
        state[patch.name] = patched(state[patch.name], patch)
    assert all(torch.equal(state[key], tensor) for key, tensor in base.items())


def test_the_fields_are_those_that_vllm_names(sharded):
    patches = list(weight_patches(delta_of(sharded)))
    assert patches[0]._fields == ("name", "shape", "dtype", "values", "indices")
    assert [patch.name for patch in patches] == sorted([UP, DOWN])
    for patch in patches:
        assert patch.dtype is patch.values.dtype is torch.bfloat16
        assert patch.indices.dtype is torch.int32
        assert patch.values.shape == patch.indices.shape
        assert not patch.values.view(torch.int16).any()


def test_a_tensor_beyond_the_reach_of_int32():
    edit = TensorEdit((1 << 16, 1 << 16), "BF16", np.array([5, 1 << 31]), np.ones((2, 2), np.uint8))
    (patch,) = weight_patches(Delta({"x": edit}, BaseRef(), {}))
    assert patch.indices.tolist() == [5, 1 << 31]
    assert patch.indices.dtype is torch.int64


def test_originals_keep_every_bit():
    raw = np.arange(10, dtype=np.uint8).reshape(5, 2)
    edit = TensorEdit((8,), "BF16", np.array([0, 1, 3, 5, 7]), raw)
    (patch,) = weight_patches(Delta({"x": edit}, BaseRef(), {}), undo=True)
    assert patch.values.view(torch.uint8).reshape(5, 2).tolist() == raw.tolist()


def test_an_edit_without_weights_gives_no_patch():
    edit = TensorEdit((8,), "F32", np.empty(0, np.int64), np.empty((0, 4), np.uint8))
    assert not list(weight_patches(Delta({"x": edit}, BaseRef(), {})))
