"""Tiny random models of many architectures, and examples for them."""

from typing import Any

import models
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Cohere2Config,
    FalconConfig,
    Gemma2Config,
    Gemma3nTextConfig,
    Gemma3TextConfig,
    GPT2Config,
    MistralConfig,
    Olmo2Config,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
    StableLmConfig,
)

from spin_hub.data.examples import IGNORE, Example
from spin_hub.scoring.engine import Engine, ScoredMatrix

SMALL = {
    "vocab_size": 260,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ENDS = {"bos_token_id": 1, "eos_token_id": 2}
WINDOW = {"sliding_window": 8}
"""Shorter than most examples."""
CONFIGS = {
    "llama": models.tiny_config(num_hidden_layers=2),
    "qwen2": Qwen2Config(**SMALL),
    "qwen3": Qwen3Config(**SMALL, head_dim=8),
    "mistral": MistralConfig(**SMALL, **WINDOW),
    "gemma2": Gemma2Config(**SMALL, **WINDOW, head_dim=8),
    "gemma3": Gemma3TextConfig(
        **SMALL, **WINDOW, head_dim=8, layer_types=["sliding_attention", "full_attention"]
    ),
    "phi3": Phi3Config(**SMALL),
    "olmo2": Olmo2Config(**SMALL),
    "cohere2": Cohere2Config(**SMALL, **WINDOW, head_dim=8),
    "stablelm": StableLmConfig(**SMALL),
    "falcon": FalconConfig(vocab_size=260, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, **ENDS),
    "bloom": BloomConfig(vocab_size=260, hidden_size=32, n_layer=2, n_head=4, **ENDS),
    "gpt2": GPT2Config(vocab_size=260, n_embd=32, n_layer=2, n_head=4, **ENDS),
}  # fmt: skip

LEAKY = Gemma3nTextConfig(
    **{**SMALL, "num_hidden_layers": 6},
    **WINDOW,
    vocab_size_per_layer_input=260,
    hidden_size_per_layer_input=8,
    head_dim=8,
    num_kv_shared_layers=2,
    altup_num_inputs=2,
    laurel_rank=4,
    layer_types=2 * ["sliding_attention", "sliding_attention", "full_attention"],
    activation_sparsity_pattern=6 * [0.0],
)
"""gemma3n: its last two layers take the keys and values of earlier ones."""


def random_model(config: Any, dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=dtype).eval().requires_grad_(False)


def model_of(name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    return random_model(CONFIGS[name], dtype)


def examples_of(count: int = 7, seed: int = 0) -> list[Example]:
    generator = torch.Generator().manual_seed(seed)
    examples = []
    for number in range(count):
        length = int(torch.randint(4, 40, (1,), generator=generator))
        ids = torch.randint(3, 260, (length,), generator=generator)
        labels = ids.clone()
        labels[: max(1, length // 3)] = IGNORE
        examples.append(Example(ids, labels, number))
    return examples


def scored(engine: Engine, sets: dict[str, list[Example]], keep: float = 0.999) -> dict[tuple[str, str], ScoredMatrix]:
    return {(entry.set_name, entry.parameter): entry for entry in engine.score(sets, keep, lambda _: None)}


def scale_gradient(module: nn.Module, factor: float) -> None:
    def hook(_, __, output):
        if output.requires_grad:
            output.register_hook(lambda gradient: gradient * factor)

    module.register_forward_hook(hook)
