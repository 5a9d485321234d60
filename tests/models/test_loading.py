import json
import shutil

import pytest
import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM

from spin_hub.checkpoint.index import read_config, read_index
from spin_hub.errors import ModelNotLoadable, NotCausal, QuantisedCheckpoint
from spin_hub.models import causes
from spin_hub.models.device import Placement
from spin_hub.models.load import check_causal, load_model, load_skeleton, load_tokenizer

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


@pytest.mark.parametrize(
    "names",
    [["FSDPLlamaForCausalLM"], ["PeftModelForCausalLM"], ["LlamaForCausalLM", "LlamaModel"], ["LlamaModel"], None],
)
def test_an_unknown_class_is_taken_by_the_model_type_as_transformers_takes_it(names, tiny):
    check_causal(tiny, {"model_type": "llama", "architectures": names})


@pytest.mark.parametrize("name", ["LlamaForSequenceClassification", "LlamaForTokenClassification"])
def test_another_head_of_a_decoder_is_refused_by_its_name(name, tiny):
    with pytest.raises(NotCausal, match=name):
        check_causal(tiny, {"model_type": "llama", "architectures": [name]})


def test_a_type_of_tomorrow_asks_for_a_newer_transformers(tiny):
    config = {"model_type": "llama9", "architectures": ["Llama9ForCausalLM"]}
    with pytest.raises(
        ModelNotLoadable, match=f"transformers {transformers.__version__} does not know .* llama9"
    ) as error:
        check_causal(tiny, config)
    assert "pip install -U transformers" in error.value.hint
    check_causal(tiny, {**config, "auto_map": {"AutoConfig": "c.C", "AutoModelForCausalLM": "m.M"}})


def test_a_missing_type_is_named(tiny):
    with pytest.raises(ModelNotLoadable, match="no model_type"):
        check_causal(tiny, {"architectures": ["LlamaForCausalLM"]})


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


@pytest.fixture
def folder(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "model")


def test_an_unknown_type_within_a_config_asks_for_a_newer_transformers(folder):
    config = {**json.loads((folder / "config.json").read_text("utf-8")), "model_type": "llama9"}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ModelNotLoadable, match="does not know the model type 'llama9'"):
        load_skeleton(read_index(folder), False)


@pytest.fixture
def wordless(folder):
    """A model's folder without any file of a tokenizer."""
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        (folder / name).unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize("kind", ["LlamaTokenizer", "T5Tokenizer", "GemmaTokenizer", None])
def test_a_sentencepiece_file_alone_names_the_packages_that_read_it(kind, wordless, monkeypatch):
    (wordless / "tokenizer.model").write_bytes(b"\x0a\x05")
    if kind:
        (wordless / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}), "utf-8")
    monkeypatch.setattr(causes, "find_spec", lambda name: None)
    with pytest.raises(ModelNotLoadable, match="SentencePiece") as error:
        load_tokenizer(wordless, False)
    assert error.value.hint == "pip install sentencepiece protobuf"


def test_a_folder_without_a_tokenizer_says_so(wordless):
    with pytest.raises(ModelNotLoadable, match="has no tokenizer") as error:
        load_tokenizer(wordless, False)
    assert "tokenizer.json" in error.value.hint


def test_a_cached_copy_without_a_tokenizer_is_not_to_be_mended_by_hand(wordless, tmp_path):
    cached = shutil.copytree(wordless, tmp_path / "models--org--name" / "snapshots" / ("a" * 40))
    with pytest.raises(ModelNotLoadable, match="cache.* has no tokenizer") as error:
        load_tokenizer(cached, False)
    assert "online" in error.value.hint


def test_a_part_of_a_tokenizer_is_named(wordless):
    (wordless / "vocab.json").write_text('{"a": 0}', "utf-8")
    with pytest.raises(ModelNotLoadable, match="not whole: tokenizer.json is missing") as error:
        load_tokenizer(wordless, False)
    assert "tokenizer.json" in error.value.hint


def test_a_tokenizer_in_mistrals_format_is_named(wordless):
    (wordless / "tekken.json").write_text("{}", "utf-8")
    with pytest.raises(ModelNotLoadable, match="only tekken.json") as error:
        load_tokenizer(wordless, False)
    assert "mistral-common" in error.value.hint


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("load", ["skeleton", "model"])
def test_code_in_another_repo_is_named_and_never_fetched(load, trusted, folder):
    config = json.loads((folder / "config.json").read_text("utf-8"))
    references = {"AutoConfig": "org/other--c.XConfig", "AutoModelForCausalLM": "org/other--m.XForCausalLM"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "x", "auto_map": references}), "utf-8")
    with pytest.raises(ModelNotLoadable, match="from another repo, org/other") as error:
        load_skeleton(read_index(folder), trusted) if load == "skeleton" else load_model(
            read_index(folder), HERE, trusted
        )
    assert "--trust-remote-code" not in error.value.hint
    assert "auto_map" in error.value.hint


def test_code_in_another_repo_that_is_not_used_is_no_obstacle(folder):
    config = json.loads((folder / "config.json").read_text("utf-8"))
    references = {"AutoModelForCausalLM": "org/other--m.LlamaForCausalLM"}
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": references}), "utf-8")
    load_skeleton(read_index(folder), False)


def test_a_tokenizers_code_in_another_repo_is_named(folder):
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**settings, "auto_map": {"AutoTokenizer": ["org/other--t.T", None]}}), "utf-8")
    with pytest.raises(ModelNotLoadable, match="org/other"):
        load_tokenizer(folder, True)
    load_tokenizer(folder, False)


def test_the_flag_for_own_code_is_only_proposed_where_it_is_not_given(folder):
    config = json.loads((folder / "config.json").read_text("utf-8"))
    references = {"AutoConfig": "c.XConfig", "AutoModelForCausalLM": "m.XForCausalLM"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "x", "auto_map": references}), "utf-8")
    hints = []
    for trusted in (False, True):
        with pytest.raises(ModelNotLoadable) as error:
            load_skeleton(read_index(folder), trusted)
        hints.append(error.value.hint)
    assert "--trust-remote-code" in hints[0]
    assert "--trust-remote-code" not in hints[1]


@pytest.mark.parametrize(
    ("error", "said", "hint"),
    [
        (ImportError("X requires the timm library but it was not found"), "the package timm", "pip install timm"),
        (ModuleNotFoundError("No module named 'einops'"), "the package einops", "pip install einops"),
        (ImportError("run `pip install flash_attn`"), "flash_attn", "pip install flash_attn"),
        (OSError("We couldn't connect to 'https://hf.co' to load the files"), "not in it", "not fetched"),
        (SafetensorError("header too large"), "header too large", "again"),
        (TypeError("unexpected keyword 'x'"), "unexpected keyword 'x'", "newer transformers"),
    ],
)
def test_every_cause_has_its_sentence_and_its_way_on(error, said, hint, tmp_path):
    found = causes.not_loadable(tmp_path, error, True)
    assert said in found.message
    assert hint in found.hint
    assert "trust" not in found.hint


@pytest.mark.parametrize("peft", [True, False])
@pytest.mark.parametrize("weights", [True, False])
def test_an_adapter_in_the_folder_is_never_attached(peft, weights, folder, monkeypatch):
    settings = {"peft_type": "LORA", "r": 4, "target_modules": ["up_proj"], "base_model_name_or_path": "org/base"}
    (folder / "adapter_config.json").write_text(json.dumps(settings), "utf-8")
    if weights:
        name = "base_model.model.model.layers.{}.mlp.up_proj.lora_{}.weight"
        tensors = {name.format(layer, "A"): torch.ones(4, 32) for layer in range(4)}
        tensors |= {name.format(layer, "B"): torch.ones(64, 4) for layer in range(4)}
        save_file(tensors, folder / "adapter_model.safetensors")
    if not peft:
        monkeypatch.setattr("transformers.integrations.peft.is_peft_available", lambda: False)
        monkeypatch.setattr("transformers.models.auto.auto_factory.is_peft_available", lambda: False)
    model = load_model(read_index(folder), HERE, False)
    stored = load_file(folder / "model.safetensors")
    assert {name for name, _ in model.named_parameters()} == set(stored)
    assert all(torch.equal(parameter, stored[name]) for name, parameter in model.named_parameters())
