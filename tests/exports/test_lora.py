"""LoRAs are the edit exactly, of one padded rank."""

import numpy as np
import pytest
import torch
from making import delta_of, skeleton_of

from spin_hub.exports.adapter import PREFIX
from spin_hub.exports.lora import factors_by_module, lora
from spin_hub.exports.modules import every_layer, touched_modules


@pytest.fixture(scope="module")
def modules(sharded):
    return touched_modules(delta_of(sharded), skeleton_of(sharded))


def dense(arrays, name: str) -> torch.Tensor:
    a, b = (
        torch.from_numpy(arrays[f"{PREFIX}{name}.lora_{side}.weight"]).view(torch.bfloat16).squeeze(-1).float()
        for side in "AB"
    )
    return b @ a


def test_the_product_takes_the_touched_weights_away(modules):
    arrays = lora(modules, ()).fill()
    for module in modules:
        expected = torch.zeros(module.shape)
        original = torch.from_numpy(module.edit.original).view(torch.bfloat16).float().reshape(-1)
        expected.view(-1)[torch.from_numpy(module.edit.indices)] = -original
        assert torch.equal(dense(arrays, module.name), expected)


def test_one_rank_for_all_is_the_largest_and_alpha_is_equal_to_it(modules):
    ranks = {entry.rank for entry in factors_by_module(modules).values()}
    adapter = lora(modules, ())
    assert len(ranks) > 1
    assert adapter.rank == adapter.settings["r"] == adapter.settings["lora_alpha"] == max(ranks)
    assert {shape[0] for name, (_, shape) in adapter.layouts.items() if "lora_A" in name} == {max(ranks)}


def test_its_size_is_known_before_it_is_filled(modules):
    adapter = lora(modules, ())
    assert adapter.bytes == sum(array.nbytes for array in adapter.fill().values())
    assert {code for code, _ in adapter.layouts.values()} == {"BF16"}


def test_layers_that_only_go_along_are_zeros(sharded):
    skeleton = skeleton_of(sharded)
    everywhere = every_layer(touched_modules(delta_of(sharded, only="layers.1.mlp.up"), skeleton), skeleton)
    arrays = lora(everywhere, ()).fill()
    for layer in range(4):
        assert dense(arrays, f"model.layers.{layer}.mlp.up_proj").any() == (layer == 1)
    assert not np.any(arrays[f"{PREFIX}model.layers.0.mlp.up_proj.lora_A.weight"])
