"""Measures how long a delta takes to come into a loaded model and out of it again, each way by itself.

    python benchmarks/applied.py [--weights N ...]

The model is a llama of 1.5 billion weights in bfloat16 (16 layers, hidden size 2048) whose memory holds one number; the
delta touches N weights of each of its 48 MLP matrices, at random. The median and the worst of 15 rounds are told.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from measure import machine, seconds, table
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.models.edit import applied, apply_, revert_
from spin_hub.models.parameters import as_bytes

ROUNDS = 15


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=int, nargs="+", default=[33, 2_000])
    options = parser.parse_args()
    print(machine())
    model = a_model()
    rows = []
    for weights in options.weights:
        delta = a_delta(model, weights)
        switch = applied(delta, model)
        steps: dict[str, Callable[[], object]] = {
            "on": switch.__enter__,
            "off": lambda switch=switch: switch.__exit__(None, None, None),
            "apply_": lambda delta=delta: apply_(delta, model),
            "revert_": lambda delta=delta: revert_(delta, model),
        }
        taken: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(ROUNDS):
            for name, step in steps.items():
                taken[name].append(1e3 * seconds(step))
        cells = [f"{sorted(times)[ROUNDS // 2]:.1f} ({max(times):.1f})" for times in taken.values()]
        rows.append((f"{delta.weights:,}", *cells))
    print(table(("weights", "on, ms (worst)", "off", "apply_", "revert_"), rows))


def a_model() -> nn.Module:
    config = LlamaConfig(
        hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8,
        vocab_size=128_256, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.to_empty(device="cpu")
    for weight in model.parameters():
        weight.data.fill_(0.01)
    return model


def a_delta(model: nn.Module, weights: int) -> Delta:
    random = np.random.default_rng(0)
    edits = {}
    for name, weight in model.named_parameters():
        if ".mlp." in name:
            indices = np.sort(random.choice(weight.numel(), weights, replace=False)).astype(np.int64)
            values = weight.detach().view(-1)[torch.from_numpy(indices)]
            edits[name] = TensorEdit(tuple(weight.shape), "BF16", indices, as_bytes(values))
    return Delta(edits, BaseRef(), {})


if __name__ == "__main__":
    main()
