import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM

from spin_hub.checkpoint.index import read_config, read_index
from spin_hub.errors import ModelNotLoadable, NotCausal, QuantisedCheckpoint
from spin_hub.models.device import Placement
from spin_hub.models.load import check_causal, load_model, load_tokenizer

HERE = Placement(torch.device("cpu"), torch.float32)


def test_a_model_is_loaded_without_gradients_in_eval_mode(tiny):
    model = load_model(read_index(tiny), HERE, False)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_an_encoder_is_refused(tmp_path):
    BertForMaskedLM(
        BertConfig(vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    ).save_pretrained(tmp_path)
    with pytest.raises(NotCausal, match="BertForMaskedLM"):
        check_causal(tmp_path, read_config(tmp_path))


def test_a_config_without_architectures_is_taken_by_its_type(tiny):
    check_causal(tiny, {"model_type": "llama"})
    with pytest.raises(NotCausal):
        check_causal(tiny, {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]})
    with pytest.raises(NotCausal):
        check_causal(tiny, {})


def test_fp8_with_scales_is_not_scored(tiny):
    with pytest.raises(QuantisedCheckpoint, match="FP8"):
        check_causal(tiny, {"model_type": "llama", "quantization_config": {"quant_method": "fp8"}})


def test_a_checkpoint_that_lacks_weights_is_refused(tiny, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.2.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelNotLoadable, match=r"layers\.2\.mlp\.up_proj"):
        load_model(read_index(folder), HERE, False)


def test_a_damaged_tokenizer_is_refused(tiny, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelNotLoadable, match="tokenizer"):
        load_tokenizer(folder, False)


def test_loading_errors_are_one_sentence(tiny, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    config = json.loads((folder / "config.json").read_text())
    config["num_attention_heads"] = 7
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelNotLoadable) as caught:
        load_model(read_index(folder), HERE, False)
    assert "\n" not in caught.value.message
