"""What a model is, is asked of its config and of itself; each reason for refusing it has a sentence and a way on."""

import json
from pathlib import Path

import models
import pytest
import torch
from odd_models import EDIT, SIZES, change, refusal
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
)

LOOKING = """
import torch
from transformers import LlamaForCausalLM
class LookingForCausalLM(LlamaForCausalLM):
    def forward(self, input_ids=None, **named):
        mask = torch.zeros(1, 1, input_ids.shape[1], input_ids.shape[1], dtype=self.dtype)
        return super().forward(input_ids=input_ids, attention_mask=mask, **named)
"""


def looking_ahead(folder, kind):
    if kind == "bert":
        base = models.save_checkpoint(folder, BertConfig(**SIZES, hidden_size=32, num_hidden_layers=2,
            num_attention_heads=4, intermediate_size=64))  # fmt: skip
        return change(base, architectures=None)
    base = models.save_checkpoint(folder)
    (base / "looking.py").write_text(LOOKING, "utf-8")
    return change(base, auto_map={"AutoModelForCausalLM": "looking.LookingForCausalLM"})


@pytest.mark.parametrize("engine", ["auto", "whole", "layerwise"])
@pytest.mark.parametrize("kind", ["bert", "own code"])
def test_a_model_that_looks_ahead_is_refused_in_every_engine(kind, engine, cli):
    base = looking_ahead(Path("base"), kind)
    options = ("--engine", engine, "--trust-remote-code", "--no-eval", "-o", "out", "--json")
    error = refusal(cli("edit", base, *EDIT, "--max-length", "400", *options))
    assert error["type"] == "NotCausal"
    assert "a later token changes" in error["message"]
    assert not Path("out").exists()


def test_a_model_that_looks_ahead_is_not_measured(cli):
    base = looking_ahead(Path("base"), "bert")
    assert refusal(cli("eval", base, "--suite", "quick", "--json"))["type"] == "NotCausal"


def test_the_model_type_decides_where_the_class_is_another_decoder(cli):
    base = change(models.save_checkpoint(Path("base")), architectures=["MistralForCausalLM"])
    plain = models.save_checkpoint(Path("plain"))
    deltas = []
    for folder in (base, plain):
        code, _, err = cli("edit", folder, *EDIT, "--no-eval", "--as", "delta", "-o", f"{folder}-delta")
        assert code == 0, err
        deltas.append(load_file(Path(f"{folder}-delta", "spin_delta.safetensors")))
    assert deltas[0].keys() == deltas[1].keys()
    assert all(torch.equal(deltas[0][name], deltas[1][name]) for name in deltas[0])


def test_weights_that_are_not_numbers_are_named_as_the_cause(cli):
    base = models.save_checkpoint(Path("base"))
    path = base / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.0.mlp.up_proj.weight"].fill_(float("nan"))
    save_file(tensors, path, {"format": "pt"})
    error = refusal(cli("edit", base, *EDIT, "--no-eval", "-o", "out", "--json"))
    assert "for a short text with which the model is checked" in error["message"]
    assert "the model's weights" in error["hint"]


WITHOUT_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def bare(folder, **files):
    """A folder without its tokenizer, and with other files in its place."""
    for name in WITHOUT_TOKENIZER:
        (folder / name).unlink(missing_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, "utf-8")
    return folder


OTHER_CODE = {"AutoConfig": "org/other--c.XConfig", "AutoModelForCausalLM": "org/other--m.XForCausalLM"}
CAUSES = {
    "a type of tomorrow": (
        lambda base: change(base, model_type="llama9", architectures=["Llama9ForCausalLM"]),
        "does not know the model type llama9",
        "pip install -U transformers",
    ),
    "no type": (lambda base: change(base, model_type=None), "no model_type", "model_type"),
    "another head": (
        lambda base: change(base, architectures=["LlamaForSequenceClassification"]),
        "LlamaForSequenceClassification",
        "decoder models",
    ),
    "code elsewhere": (
        lambda base: change(base, model_type="x", auto_map=OTHER_CODE),
        "from another repo, org/other",
        "auto_map",
    ),
    "no tokenizer": (bare, "has no tokenizer", "tokenizer.json"),
    "pieces alone": (
        lambda base: bare(base, tokenizer__model="\n"),
        "SentencePiece",
        "pip install sentencepiece protobuf",
    ),
    "tekken": (lambda base: bare(base, tekken__json="{}"), "only tekken.json", "mistral-common"),
}


@pytest.mark.parametrize("verb", [("--plan",), ("--no-eval", "-o", "out"), ("--trust-remote-code", "-o", "out")])
@pytest.mark.parametrize("cause", CAUSES)
def test_the_true_reason_and_the_way_on(cause, verb, cli, monkeypatch):
    make, said, hint = CAUSES[cause]
    monkeypatch.setattr("spin_hub.models.causes.find_spec", lambda name: None)
    error = refusal(cli("edit", make(models.save_checkpoint(Path("base"))), *EDIT, *verb, "--json"))
    assert said in error["message"]
    assert hint in error["hint"]
    assert "--trust-remote-code" not in error["hint"] or "--trust-remote-code" not in verb
    assert not Path("out").exists()


@pytest.mark.parametrize("names", [["FSDPLlamaForCausalLM"], ["LlamaForCausalLM", "LlamaModel"], None])
def test_a_class_of_another_name_is_taken_by_its_type(names, cli):
    base = change(models.save_checkpoint(Path("base")), architectures=names)
    assert cli("edit", base, *EDIT, "--plan")[0] == 0


@pytest.mark.parametrize("module", ["up_proj", "q_proj"])
def test_an_adapter_in_the_folder_changes_no_score(module, tiny, cli):
    base = models.save_checkpoint(Path("base"))
    settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "target_modules": [module]}
    (base / "adapter_config.json").write_text(json.dumps(settings), "utf-8")
    part = "mlp" if module == "up_proj" else "self_attn"
    names = [f"base_model.model.model.layers.{layer}.{part}.{module}.lora_" for layer in range(4)]
    factors = {f"{name}A.weight": torch.ones(4, 32) for name in names}
    factors |= {f"{name}B.weight": torch.ones(64 if part == "mlp" else 32, 4) for name in names}
    save_file(factors, base / "adapter_model.safetensors")
    for folder in (base, tiny):
        code, _, err = cli("edit", folder, *EDIT, "--no-eval", "--as", "delta", "-o", f"out-{folder.name}")
        assert code == 0, err
    one, two = (load_file(f"out-{name}/spin_delta.safetensors") for name in ("base", "tiny"))
    assert one.keys() == two.keys()
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())
