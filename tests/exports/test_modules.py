"""Which tensors are the weights of modules that an adapter can hold."""

from dataclasses import replace

import architectures
import models
import numpy as np
import pytest
from making import delta_of, skeleton_of
from transformers import MixtralConfig

from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.errors import AdapterRefused
from spin_hub.exports.modules import every_layer, short_names, touched_modules

UP = "model.layers.0.mlp.up_proj.weight"


def one_edit(name: str, shape: tuple[int, ...], dtype: str = "F32") -> Delta:
    raw = np.zeros((1, {"F32": 4, "F8_E4M3": 1}[dtype]), np.uint8)
    return Delta({name: TensorEdit(shape, dtype, np.array([0]), raw)}, BaseRef(), {})


def why(delta: Delta, model) -> str:
    with pytest.raises(AdapterRefused) as refused:
        touched_modules(delta, model)
    return refused.value.message


@pytest.fixture(scope="module")
def skeleton(tiny):
    return skeleton_of(tiny)


def test_every_touched_tensor_is_one_module(tiny, skeleton):
    delta = delta_of(tiny)
    modules = touched_modules(delta, skeleton)
    assert [f"{module.name}.weight" for module in modules] == list(delta.edits)
    assert not any(module.transposed for module in modules)


def test_tensors_without_a_touched_weight_are_left_out(tiny, skeleton):
    delta = delta_of(tiny)
    name, edit = next(iter(delta.edits.items()))
    empty = replace(edit, indices=edit.indices[:0], original=edit.original[:0])
    assert len(touched_modules(replace(delta, edits={**delta.edits, name: empty}), skeleton)) == len(delta.edits) - 1
    assert "holds no weight" in why(replace(delta, edits={name: empty}), skeleton)


def test_conv1d_is_transposed(tmp_path):
    folder = models.save_checkpoint(tmp_path / "gpt2", architectures.CONFIGS["gpt2"])
    modules = touched_modules(delta_of(folder), skeleton_of(folder))
    assert all(module.transposed for module in modules)
    assert {module.out_in for module in modules if module.name.endswith("c_fc")} == {(128, 32)}


def test_a_module_that_the_model_lacks_is_refused(skeleton):
    assert "no module of this name" in why(one_edit("model.layers.9.mlp.up_proj.weight", (64, 32)), skeleton)
    assert "no module of this name" in why(one_edit("model.layers.0.mlp.up_proj.bias", (64, 32)), skeleton)


def test_another_shape_and_other_modules_are_refused(skeleton):
    assert "its shape in memory is [64, 32]" in why(one_edit(UP, (32, 64)), skeleton)
    assert "it belongs to a Embedding" in why(one_edit("model.embed_tokens.weight", (260, 32)), skeleton)


def test_experts_and_quantised_types_are_refused(skeleton):
    assert "fused experts" in why(one_edit("model.layers.0.mlp.experts.up_proj", (4, 64, 32)), skeleton)
    assert "F8_E4M3" in why(one_edit(UP, (64, 32), "F8_E4M3"), skeleton)


def test_experts_that_are_fused_in_memory_alone_are_refused(tmp_path):
    config = MixtralConfig(**architectures.SMALL, num_local_experts=2)
    folder = models.save_checkpoint(tmp_path / "mixtral", config)
    delta = delta_of(folder, only="experts")
    assert delta.edits, "this checkpoint would have no experts of its own"
    assert "fused in memory" in why(delta, skeleton_of(folder))


@pytest.mark.parametrize("name", ["lm_head.weight", "model.embed_tokens.weight"])
def test_tied_heads_are_refused_and_others_are_not(name, sharded, skeleton):
    assert "share it" in why(one_edit(name, (260, 32)), skeleton_of(sharded))
    assert touched_modules(one_edit("lm_head.weight", (260, 32)), skeleton)


def test_every_layer_of_a_touched_kind_goes_along(tiny, skeleton):
    modules = touched_modules(delta_of(tiny, only="layers.2.mlp.up_proj"), skeleton)
    everywhere = every_layer(modules, skeleton)
    assert [module.name for module in everywhere] == [f"model.layers.{layer}.mlp.up_proj" for layer in range(4)]
    assert [len(module.edit.indices) > 0 for module in everywhere] == [False, False, True, False]
    assert short_names(everywhere, skeleton) == ("up_proj",)
    assert short_names(modules, skeleton) == ("model.layers.2.mlp.up_proj",)
