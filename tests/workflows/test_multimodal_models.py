"""Language models inside multimodal ones: the text layers are edited, a tower never, or the reason is one sentence."""

import json
from pathlib import Path

import models
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    Gemma3Config,
    GitConfig,
    LlavaConfig,
    Qwen3_5Config,
)

EDIT = ("--p", "1e-2", "--q", "2e-1", "--samples", "4")
TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
SMALL = {**TOWER, "vocab_size": 260, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
GROUPED = {**SMALL, "num_key_value_heads": 2, "head_dim": 8}
IMAGES = {**TOWER, "image_size": 28, "patch_size": 14}
# Both parts have two layers, so their number does not tell the parts from each other.
CONFIGS = {
    "gemma3": lambda: Gemma3Config(
        text_config={**GROUPED, "layer_types": ["sliding_attention", "full_attention"]},
        vision_config=IMAGES,
        mm_tokens_per_image=4,
    ),
    "qwen3_5": lambda: Qwen3_5Config(
        text_config={
            **GROUPED, "layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2,
            "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 4, "out_hidden_size": 32,
            "patch_size": 14, "num_position_embeddings": 16,
        },
    ),
    "git": lambda: GitConfig(vision_config=IMAGES, max_position_embeddings=300, **SMALL),
    "llava": lambda: LlavaConfig(
        text_config=models.tiny_config(), vision_config={**IMAGES, "model_type": "clip_vision_model"}
    ),
}  # fmt: skip


def saved(folder: Path, kind: str) -> Path:
    torch.manual_seed(0)
    maker = AutoModelForCausalLM if kind in ("gemma3", "git") else AutoModelForImageTextToText
    maker.from_config(CONFIGS[kind]()).save_pretrained(folder)
    models.byte_tokenizer().save_pretrained(folder)
    return folder


def under_the_names_in_memory(folder: Path) -> Path:
    """The file as newer versions write it."""
    path = folder / "model.safetensors"
    old = {"language_model.model.": "model.language_model.", "vision_tower.vision_model.": "model.vision_tower."}

    def new(name: str) -> str:
        return next((name.replace(one, other, 1) for one, other in old.items() if name.startswith(one)), name)

    save_file({new(name): tensor for name, tensor in load_file(path).items()}, path, {"format": "pt"})
    return folder


@pytest.mark.parametrize("kind", ["gemma3", "gemma3 of today", "qwen3_5", "git"])
def test_the_text_layers_are_edited_and_a_tower_never(kind, cli, few_texts):
    base = saved(Path("base"), kind.split()[0])
    if "today" in kind:
        base = under_the_names_in_memory(base)
    assert cli("edit", base, *EDIT, "--plan")[0] == 0
    code, _, err = cli("edit", base, *EDIT, "-o", "out")
    assert code == 0, err
    before, after = load_file(base / "model.safetensors"), load_file("out/model.safetensors")
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert len(changed) == (4 if kind == "git" else 6)
    assert not [name for name in changed if "vision" in name or "visual" in name or "image" in name]
    measured = json.loads(Path("out/spin/spin.json").read_text("utf-8"))["evaluation"]["metrics"]
    assert next(metric for metric in measured if metric["name"] == "kl")["values"]["edited"]["value"] > 0
    assert cli("verify", "out", "--base", base)[0] == 0
    assert cli("reproduce", "out", "--base", base)[0] == 0


def test_a_wrapper_that_is_no_causal_model_is_one_sentence_at_the_plan(cli):
    base = saved(Path("base"), "llava")
    code, out, _ = cli("edit", base, *EDIT, "--plan", "--json")
    error = json.loads(out)["error"]
    assert (code, error["type"]) == (1, "NotCausal")
    assert "LlavaForConditionalGeneration" in error["message"]
