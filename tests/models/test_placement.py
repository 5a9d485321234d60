"""Which precision is taken, on machines that are fast and slow at half precision."""

import models
import pytest
import torch
from safetensors.torch import load_file, save_file

from spin_hub.checkpoint.index import read_index
from spin_hub.errors import DeviceUnavailable, PrecisionUnavailable
from spin_hub.models.device import choose_device, place, stored_dtype
from spin_hub.models.speed import GIVEN

FAST = "float32:150,bfloat16:300,float16:10,float64:75"
SLOW = "float32:141,bfloat16:1.2/1.3/22,float16:1.3/1.3/4.7,float64:70"
NONE = "float32:141"


@pytest.fixture(params=[torch.float32, torch.bfloat16, torch.float16, torch.float64])
def stored(request, tmp_path):
    return request.param, read_index(models.save_checkpoint(tmp_path / "model", dtype=request.param))


def taken(index, speeds, monkeypatch, dtype="auto"):
    monkeypatch.setenv(GIVEN, speeds)
    return place("cpu", dtype, index)


@pytest.mark.parametrize("speeds", [FAST, SLOW, NONE])
def test_auto_takes_the_checkpoints_precision_only_where_it_is_fast(speeds, stored, monkeypatch):
    dtype, index = stored
    assert stored_dtype(index) == dtype
    keeps = {torch.float32: True, torch.bfloat16: speeds == FAST, torch.float16: False, torch.float64: speeds != NONE}
    assert taken(index, speeds, monkeypatch).dtype == (dtype if keeps[dtype] else torch.float32)


@pytest.mark.parametrize("speeds", [FAST, SLOW, NONE])
def test_the_reason_is_one_sentence_and_what_is_recorded_has_no_figures(speeds, stored, monkeypatch):
    where = taken(stored[1], speeds, monkeypatch)
    assert where.sentence.startswith(f"Runs in {where.precision} on the processor: ")
    assert where.sentence.endswith(".")
    assert not any(figure.isdigit() for figure in where.why.replace("float32", "").replace("bfloat16", "")
                   .replace("float16", "").replace("float64", ""))  # fmt: skip


def test_a_slow_precision_is_named_with_both_speeds(sharded, monkeypatch):
    where = taken(read_index(sharded), SLOW, monkeypatch)
    assert "bfloat16, the checkpoint's precision, is slower here (bfloat16 1.61, float32 141 GFLOP/s)" in where.sentence


def test_an_explicit_precision_is_obeyed_and_its_cost_is_said_from_four_times_on(sharded, monkeypatch):
    where = taken(read_index(sharded), SLOW, monkeypatch, "bfloat16")
    assert (where.dtype, where.faster) == (torch.bfloat16, torch.float32)
    assert "times slower here than float32" in where.sentence
    usual = taken(read_index(sharded), "float32:150,bfloat16:50", monkeypatch, "bfloat16")
    assert (usual.dtype, usual.faster) == (torch.bfloat16, None)
    assert "slower" not in usual.sentence


def test_float32_is_said_to_be_slow_where_the_checkpoints_precision_is_four_times_faster(sharded, monkeypatch):
    where = taken(read_index(sharded), "float32:100,bfloat16:900", monkeypatch, "float32")
    assert (where.dtype, where.faster) == (torch.float32, torch.bfloat16)


def test_float16_is_never_recommended(tmp_path, monkeypatch):
    index = read_index(models.save_checkpoint(tmp_path / "model", dtype=torch.float16))
    assert taken(index, "float32:100,float16:900", monkeypatch, "float32").faster is None


def test_a_precision_that_cannot_be_computed_is_refused(sharded, monkeypatch):
    with pytest.raises(PrecisionUnavailable, match="bfloat16 cannot be computed on the processor") as caught:
        taken(read_index(sharded), NONE, monkeypatch, "bfloat16")
    assert "--dtype" in caught.value.hint


def test_a_device_that_computes_nothing_is_refused(sharded, monkeypatch):
    with pytest.raises(DeviceUnavailable, match="cpu"):
        taken(read_index(sharded), "float64:10", monkeypatch)


def test_fp8_runs_in_float32(tmp_path):
    folder = models.save_checkpoint(tmp_path / "model")
    tensors = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert place("cpu", "auto", read_index(folder)).dtype is torch.float32


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(DeviceUnavailable, match="cuda"):
        choose_device("cuda")
