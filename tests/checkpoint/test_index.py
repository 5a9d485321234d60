import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from spin_hub.checkpoint.index import read_index
from spin_hub.core.files import SHARDED
from spin_hub.errors import CorruptFile, ModelNotFound, NoSafetensors, QuantisedCheckpoint


@pytest.fixture
def copied(sharded, tmp_path):
    return shutil.copytree(sharded, tmp_path / "copy")


def set_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_every_tensor_of_every_shard_is_found(sharded):
    index = read_index(sharded)
    assert len(index.shards) > 2
    for shard in index.shards:
        for name, tensor in load_file(sharded / shard).items():
            place = index.tensors[name]
            assert (place.shard, place.span.shape, place.span.dtype) == (shard, tuple(tensor.shape), "BF16")


@settings(max_examples=20)
@given(st.data())
def test_raw_values_are_the_bytes_of_the_elements(sharded, data):
    index = read_index(sharded)
    name = data.draw(st.sampled_from(sorted(index.tensors)))
    tensor = load_file(sharded / index.tensors[name].shard)[name]
    positions = data.draw(st.lists(st.integers(0, tensor.numel() - 1), min_size=1, max_size=5))
    expected = tensor.reshape(-1)[positions].contiguous().view(-1).view(dtype=__import__("torch").uint8)
    found = index.raw(name, np.array(positions))
    assert found.tobytes() == expected.numpy().tobytes()


def test_a_folder_without_config_is_no_model(tmp_path):
    with pytest.raises(ModelNotFound, match=r"config\.json"):
        read_index(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_config_that_is_no_json_object_is_refused(copied, text):
    (copied / "config.json").write_text(text)
    with pytest.raises(ModelNotFound, match="JSON"):
        read_index(copied)


def test_pickled_weights_are_refused_with_the_way_to_convert(copied):
    for shard in copied.glob("*.safetensors*"):
        shard.unlink()
    (copied / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(NoSafetensors, match=r"pytorch_model\.bin") as caught:
        read_index(copied)
    assert "save_pretrained" in caught.value.hint


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "mxfp4", "compressed-tensors"])
def test_quantised_checkpoints_are_refused_with_the_reason(copied, method):
    set_config(copied, quantization_config={"quant_method": method})
    with pytest.raises(QuantisedCheckpoint, match=method):
        read_index(copied)


def test_fp8_checkpoints_are_read(copied):
    set_config(copied, quantization_config={"quant_method": "fp8"})
    assert read_index(copied).tensors


def test_a_missing_shard_is_named(copied):
    shard = sorted(copied.glob("*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(CorruptFile, match=shard.name):
        read_index(copied)


def test_a_truncated_shard_is_named(copied):
    shard = sorted(copied.glob("*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CorruptFile, match=rf"{shard.name} .*truncated"):
        read_index(copied)


def test_an_index_that_names_files_outside_is_refused(copied):
    path = copied / SHARDED
    content = json.loads(path.read_text())
    content["weight_map"]["evil"] = "../evil.safetensors"
    path.write_text(json.dumps(content))
    with pytest.raises(CorruptFile, match="outside"):
        read_index(copied)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": []}', '{"weight_map": {"a": 1}}'])
def test_a_damaged_index_is_refused(copied, text):
    (copied / SHARDED).write_text(text)
    with pytest.raises(CorruptFile):
        read_index(copied)


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("config.json", "[" * 5_000, ModelNotFound),
        ("config.json", '{"a": "\\ud800"}', ModelNotFound),
        ("model.safetensors.index.json", '{"weight_map": ' + "[" * 5_000, CorruptFile),
        ("model.safetensors.index.json", '{"weight_map": {"a": "' + "x" * 300 + '.safetensors"}}', CorruptFile),
        ("model.safetensors.index.json", '{"weight_map": {}, "weight_map": {}}', CorruptFile),
    ],
    ids=range(5),
)
def test_a_strangers_json_is_refused(name, text, error, tmp_path):
    (tmp_path / "config.json").write_text("{}", "utf-8")
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(error):
        read_index(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("model_type", 7), ("model_type", ["llama"]), ("architectures", "LlamaForCausalLM"), ("architectures", 7),
     ("architectures", [{}]), ("architectures", [["x"]]),
     ("auto_map", ["x"]), ("text_config", "x"), ("dtype", ["float32"]), ("torch_dtype", 16)],
)  # fmt: skip
def test_what_is_read_of_a_config_has_its_type_or_the_config_is_refused(copied, name, value):
    set_config(copied, **{name: value})
    with pytest.raises(CorruptFile, match=name):
        read_index(copied)
    set_config(copied, **{name: None})
    read_index(copied)


def test_a_key_may_stand_twice_in_a_config_as_transformers_has_it(copied):
    text = (copied / "config.json").read_text()
    (copied / "config.json").write_text(text.replace("{", '{"model_type": "other", ', 1))
    assert read_index(copied).config["model_type"] == "llama"


def test_twins_of_the_weights_are_left_out(sharded, tmp_path):
    folder = shutil.copytree(sharded, tmp_path / "model")
    for name in ("pytorch_model.bin", "consolidated.00.pth", "model.gguf", "onnx/model.onnx", "original/params.json",
                 "spin/spin.json", ".gitattributes", "extra.safetensors"):  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "LICENSE").write_text("terms")
    contents = read_index(folder).contents
    assert set(contents.left_out) == {
        "pytorch_model.bin", "consolidated.00.pth", "model.gguf", "onnx/model.onnx", "original/params.json",
        "extra.safetensors",
    }  # fmt: skip
    assert contents.readme
    assert {"LICENSE", "config.json", "tokenizer.json", "model.safetensors.index.json"} <= set(contents.kept)
    assert not [name for name in contents.proven if name.startswith((".", "spin/"))]
