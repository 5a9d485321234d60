"""Sparse adapters hold the edit, in the lengths that PEFT computes for itself, and are small."""

import math

import numpy as np
import pytest
from making import delta_of, skeleton_of

from spin_hub.artifacts.container import write_tensors
from spin_hub.artifacts.delta_file import write_delta
from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.errors import AdapterRefused
from spin_hub.exports.adapter import CONFIG, PREFIX, WEIGHTS, write_config
from spin_hub.exports.modules import Touched, touched_modules
from spin_hub.exports.peft_sparse import shira, supertuning

QWEN2_7B = {"gate_proj": (18944, 3584), "up_proj": (18944, 3584), "down_proj": (3584, 18944)}


def a_module(name: str, shape: tuple[int, int], count: int, transposed: bool = False) -> Touched:
    random = np.random.default_rng(count)
    indices = np.sort(random.choice(math.prod(shape), count, replace=False))
    original = random.integers(0, 100, (count, 2), np.uint8)
    return Touched(name, TensorEdit(shape, "BF16", indices, original), transposed)


@pytest.fixture(scope="module")
def qwen2_7b() -> tuple[Touched, ...]:
    """84 matrices with 33 weights each, from the shapes alone."""
    names = [(f"model.layers.{layer}.mlp.{name}", shape) for layer in range(28) for name, shape in QWEN2_7B.items()]
    rows = np.random.default_rng(0)
    modules = []
    for name, shape in names:
        indices = np.sort(rows.choice(math.prod(shape), 33, replace=False, shuffle=False))
        modules.append(
            Touched(name, TensorEdit(shape, "BF16", indices, rows.integers(0, 100, (33, 2), np.uint8)), False)
        )
    return tuple(modules)


def test_a_7b_models_peft_form_takes_under_45_kb_and_its_delta_under_40(qwen2_7b, tmp_path):
    adapter = supertuning(qwen2_7b)
    write_config(tmp_path, adapter, "Qwen/Qwen2-7B-Instruct", "0" * 40)
    write_tensors(tmp_path / WEIGHTS, adapter.tensors(), {"format": "pt"})
    assert (tmp_path / WEIGHTS).stat().st_size + (tmp_path / CONFIG).stat().st_size < 45_000
    base = BaseRef(
        "Qwen/Qwen2-7B-Instruct", "0" * 40, {f"model-0000{n}-of-00004.safetensors": "0" * 64 for n in range(4)}
    )
    delta = Delta({f"{module.name}.weight": module.edit for module in qwen2_7b}, base, {"rule": "paper"})
    write_delta(tmp_path / "delta.safetensors", delta)
    assert (tmp_path / "delta.safetensors").stat().st_size < 40_000


@pytest.mark.parametrize("seed", range(20))
def test_vectors_have_the_length_that_peft_computes(seed):
    random = np.random.default_rng(seed)
    shapes = [tuple(random.integers(2, 3000, 2).tolist()) for _ in range(4)]
    modules = [
        a_module(f"m{place}", shape, int(random.integers(1, min(400, math.prod(shape)))))
        for place, shape in enumerate(shapes)
    ]
    adapter = supertuning(modules)
    lengths = []
    for module in modules:
        count = int(math.prod(module.shape) * (1 - adapter.settings["sparsity"]))
        assert adapter.layouts[f"{PREFIX}{module.name}.supertuning_indices"] == ("I32", (count,))
        lengths.append(count - len(module.edit.indices))
    assert min(lengths) == 0, "nothing would be longer than it has to be"


def test_a_whole_matrix_can_be_touched():
    adapter = supertuning([a_module("m", (4, 4), 16)])
    assert adapter.settings["sparsity"] == 0
    assert adapter.layouts[f"{PREFIX}m.supertuning_values"] == ("BF16", (16,))


@pytest.mark.parametrize("make", [supertuning, shira])
def test_added_up_the_positions_hold_the_negatives_and_nothing_else(make, tiny):
    modules = touched_modules(delta_of(tiny), skeleton_of(tiny))
    arrays = make(modules).fill()
    for module in modules:
        key = PREFIX + module.name
        if make is supertuning:
            flat, raw = arrays[f"{key}.supertuning_indices"], arrays[f"{key}.supertuning_values"]
        else:
            rows, columns = arrays[f"{key}.shira_indices"]
            flat, raw = rows * module.shape[1] + columns, arrays[f"{key}.shira_weight"]
        sums, expected = np.zeros(math.prod(module.shape), "<f4"), np.zeros(math.prod(module.shape), "<f4")
        np.add.at(sums, flat, np.ascontiguousarray(raw).view("<f4").reshape(-1))
        expected[module.edit.indices] = -module.edit.original.view("<f4").reshape(-1)
        assert np.array_equal(sums, expected)
        # What fills a vector up must touch no weight that the edit leaves alone: minus zero plus zero is plus zero.
        assert set(flat.tolist()) == set(module.edit.indices.tolist())


@pytest.mark.parametrize("make", [supertuning, shira])
def test_conv1d_is_refused_with_the_way_out(make):
    with pytest.raises(AdapterRefused, match="--as lora takes both"):
        make([a_module("m", (8, 4), 3, transposed=True)])


def test_shira_refuses_a_matrix_too_small_for_its_positions():
    with pytest.raises(AdapterRefused, match="wants 5 positions"):
        shira([a_module("m", (1, 4), 3)])
