"""Fits of real checkpoints: the base, fine-tunes of it, other models, and folders that do not fit."""

import json
import shutil
import tracemalloc

import models
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from spin_hub.checkpoint.compat import fit_of, refusal
from spin_hub.checkpoint.index import read_index
from spin_hub.checkpoint.patch import write_patched_copy, zeros
from spin_hub.core.delta import BaseRef, Delta, TensorEdit

MATRICES = ("gate_proj", "up_proj", "down_proj")


def delta_on(folder, share=0.05, seed=0) -> Delta:
    """Positions drawn in every MLP matrix, with the folder's own values."""
    index, draws, edits = read_index(folder), np.random.default_rng(seed), {}
    for name, place in index.tensors.items():
        if any(matrix in name for matrix in MATRICES):
            elements = int(np.prod(place.span.shape))
            indices = np.sort(draws.choice(elements, int(share * elements), replace=False))
            edits[name] = TensorEdit(place.span.shape, place.span.dtype, indices, index.raw(name, indices))
    return Delta(edits, BaseRef(), {})


def weights_of(folder) -> dict[str, torch.Tensor]:
    return {name: tensor for shard in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(shard).items()}


def variant(base, folder, change, dtype=torch.float32, shard_size="5GB"):
    """The base, changed by a function of its loaded model and saved again."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    change(model)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard_size)
    return folder


def trained(model) -> None:
    """A few steps of fine-tuning."""
    torch.manual_seed(3)
    steps = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for _ in range(5):
        tokens = torch.randint(0, 256, (2, 24))
        model(input_ids=tokens, labels=tokens).loss.backward()
        steps.step()
        steps.zero_grad()


def unchanged(_) -> None:
    pass


def torch_drifts(delta, base, here) -> torch.Tensor:
    """The same drifts by whole tensors in torch: |w' - w| / |w| at every touched position."""
    ours, theirs = weights_of(base), weights_of(here)
    parts = []
    for name, edit in delta.edits.items():
        places = torch.from_numpy(edit.indices)
        w, v = (tensors[name].double().flatten()[places] for tensors in (ours, theirs))
        parts.append((v - w).abs() / w.abs())
    return torch.cat(parts)


@pytest.mark.parametrize("name", ["tiny", "sharded"])
def test_the_base_itself_fits_wholly(name, request):
    folder = request.getfixturevalue(name)
    delta = delta_on(folder)
    fit = fit_of(read_index(folder), delta)
    assert fit.all_equal
    assert not fit.all_zero
    assert (fit.expected, fit.found, fit.shapes_equal, fit.dtypes_equal) == (12, 12, 12, 12)
    assert (fit.weights, fit.equal, fit.changed) == (delta.weights, delta.weights, 0)
    assert (fit.drift, fit.changed_drift, fit.largest) == (0, None, 0)
    assert [matrix.name for matrix in fit.matrices] == list(delta.edits)
    assert refusal(fit) is None
    json.dumps(fit.to_json(), allow_nan=False)


@pytest.mark.parametrize("shard_size", ["5GB", "40KB"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_fine_tune_fits_with_a_small_drift(tiny, tmp_path, dtype, shard_size):
    here = variant(tiny, tmp_path / "tuned", trained, dtype, shard_size)
    delta = delta_on(tiny)
    index = read_index(here)
    fit = fit_of(index, delta)
    assert (len(index.shards) > 1) == (shard_size == "40KB")
    assert refusal(fit) is None
    assert fit.dtypes_equal == (12 if dtype is torch.float32 else 0)
    assert fit.changed > 0.9 * fit.weights
    assert 0 < fit.drift < 0.1
    drifts = torch_drifts(delta, tiny, here)
    assert fit.drift == drifts.quantile(0.5)
    assert fit.largest == drifts.max()
    assert np.array_equal(fit.drifts, drifts.numpy())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_copy_in_fewer_bits_has_drifted_by_their_precision(tiny, tmp_path, dtype):
    here = variant(tiny, tmp_path / "cast", unchanged, dtype)
    fit = fit_of(read_index(here), delta_on(tiny))
    assert 0 < fit.drift < torch.finfo(dtype).eps
    assert not fit.all_equal


def test_a_copy_in_more_bits_holds_the_base(sharded, tmp_path):
    here = variant(sharded, tmp_path / "wide", unchanged)
    fit = fit_of(read_index(here), delta_on(sharded))
    assert fit.all_equal
    assert (fit.dtypes_equal, fit.drift) == (0, 0)


def test_another_model_drifts_by_more_than_half(tiny, tmp_path):
    other = models.save_checkpoint(tmp_path / "other", seed=1)
    delta = delta_on(tiny)
    fit = fit_of(read_index(other), delta)
    assert refusal(fit) is None
    assert fit.equal == 0
    assert fit.drift > 0.5
    assert fit.drift == torch_drifts(delta, tiny, other).quantile(0.5)
    assert all(matrix.drift > 0.5 for matrix in fit.matrices)


def test_the_edited_model_is_zero_already_at_every_position(tiny, tmp_path):
    delta, target = delta_on(tiny), tmp_path / "edited"
    target.mkdir()
    write_patched_copy(read_index(tiny), delta.edits, zeros, target, lambda _: None)
    shutil.copy(tiny / "config.json", target)
    fit = fit_of(read_index(target), delta)
    assert fit.all_zero
    assert (fit.zero, fit.changed, fit.drift, fit.changed_drift) == (delta.weights, 0, 1, None)
    other = fit_of(read_index(target), delta_on(tiny, 0.02, seed=9))
    assert 0 < other.zero < other.weights
    assert (other.zero + other.equal, other.changed, other.drift) == (other.weights, 0, 0)


def test_a_resized_vocabulary_fits(tiny, tmp_path):
    def resized(model):
        model.resize_token_embeddings(300)
        trained(model)

    here = variant(tiny, tmp_path / "resized", resized)
    fit = fit_of(read_index(here), delta_on(tiny))
    assert weights_of(here)["lm_head.weight"].shape[0] == 300
    assert refusal(fit) is None
    assert 0 < fit.drift < 0.1


def changed_copy(base, folder, change):
    """The base with its tensors changed by a function that returns them."""
    folder.mkdir()
    shutil.copy(base / "config.json", folder)
    save_file(change(weights_of(base)), folder / "model.safetensors")
    return read_index(folder)


def test_missing_tensors_are_facts_and_a_reason(tiny, tmp_path):
    gone = {"model.layers.1.mlp.up_proj.weight", "model.layers.3.mlp.down_proj.weight"}
    index = changed_copy(tiny, tmp_path / "x", lambda tensors: {n: t for n, t in tensors.items() if n not in gone})
    fit = fit_of(index, delta_on(tiny))
    assert (fit.expected, fit.found, fit.shapes_equal) == (12, 10, 10)
    assert {matrix.name for matrix in fit.matrices if not matrix.found} == gone
    assert fit.equal == sum(matrix.weights for matrix in fit.matrices if matrix.found)
    assert not fit.all_equal
    assert fit.drift == 0
    assert refusal(fit) == "it lacks 2 of the delta's 12 tensors, such as model.layers.1.mlp.up_proj.weight"


def test_other_shapes_are_facts_and_a_reason(tiny, tmp_path):
    name = "model.layers.0.mlp.up_proj.weight"
    index = changed_copy(tiny, tmp_path / "x", lambda tensors: {**tensors, name: tensors[name].T.contiguous()})
    fit = fit_of(index, delta_on(tiny))
    assert (fit.found, fit.shapes_equal, fit.dtypes_equal) == (12, 11, 12)
    [turned] = [matrix for matrix in fit.matrices if not matrix.shape_equal]
    assert turned.weights > 0
    assert (turned.equal, turned.zero, turned.changed, turned.drift) == (0, 0, 0, None)
    assert refusal(fit) == (
        f"it has another shape in 1 of the delta's 12 tensors, such as {name}: F32 [32, 64], but F32 [64, 32] in the "
        "delta"
    )


def test_packed_weights_are_facts_and_a_reason(tiny, tmp_path):
    name = "model.layers.0.mlp.up_proj.weight"
    index = changed_copy(tiny, tmp_path / "x", lambda tensors: {**tensors, name: tensors[name].to(torch.int8)})
    fit = fit_of(index, delta_on(tiny))
    assert (fit.shapes_equal, fit.dtypes_equal) == (12, 11)
    assert not fit.all_equal
    assert "a type that cannot be edited in 1 of the delta's 12 tensors, such as" in refusal(fit)
    assert "I8 [64, 32], but F32" in refusal(fit)


@pytest.mark.parametrize("other", [torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_a_single_matrix_may_be_in_another_float_type(tiny, tmp_path, other):
    name = "model.layers.0.mlp.up_proj.weight"
    index = changed_copy(tiny, tmp_path / "x", lambda tensors: {**tensors, name: tensors[name].to(other)})
    delta = delta_on(tiny)
    fit = fit_of(index, delta)
    assert (refusal(fit), fit.dtypes_equal) == (None, 11)
    [drifted] = [matrix for matrix in fit.matrices if not matrix.dtype_equal]
    w = weights_of(tiny)[name].double().flatten()[torch.from_numpy(delta.edits[name].indices)]
    v = w.float().to(other).double()
    assert drifted.drift == ((v - w).abs() / w.abs()).quantile(0.5)


def test_a_tensor_without_elements_fits(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "config.json").write_text("{}")
    save_file({"a": torch.ones(2), "none": torch.empty(0, 4)}, tmp_path / "x" / "model.safetensors")
    index = read_index(tmp_path / "x")
    edit = TensorEdit((0, 4), "F32", np.empty(0, np.int64), np.empty((0, 4), np.uint8))
    fit = fit_of(index, Delta({"none": edit}, BaseRef(), {}))
    assert fit.all_equal
    assert fit.weights == 0


def test_only_the_touched_bytes_are_read(tmp_path):
    """A matrix of 16 GB, of which nothing but three weights is on the disk."""
    rows = 1 << 16
    header = json.dumps({"w": {"dtype": "F32", "shape": [rows, rows], "data_offsets": [0, 4 * rows**2]}}).encode()
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for place in (0, rows**2 // 2, rows**2 - 1):
            file.seek(8 + len(header) + 4 * place)
            file.write(np.float32(1.5).tobytes())
    (tmp_path / "config.json").write_text("{}")
    index = read_index(tmp_path)
    places = np.array([0, rows**2 // 2, rows**2 - 2, rows**2 - 1])
    base = np.array([1.5, 1, 1, 1.5], np.float32).view(np.uint8).reshape(4, 4)
    delta = Delta({"w": TensorEdit((rows, rows), "F32", places, base)}, BaseRef(), {})
    tracemalloc.start()
    fit = fit_of(index, delta)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fit.drifts.tolist() == [0, 0.5, 1, 0]
    assert (fit.equal, fit.zero, fit.changed) == (2, 1, 1)
    assert peak < 1 << 20
