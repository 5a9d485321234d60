"""The method as its published code computes it, in our own words: what scoring.py compares the engine with.

For every decoder layer in turn only that layer's MLP weights require gradients, and all examples are passed
through the model once more, one example per batch: as many passes over the data as there are layers.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from spin_hub.data.examples import Example
from spin_hub.models.layers import decoder_layers

RATIO = 1e-4

TopSets = dict[str, set[int]]
"""Parameter name -> flat indices of its most important weights."""


def published_loop(model: PreTrainedModel, examples: Sequence[Example], numbers: Iterable[int]) -> TopSets:
    """The top sets of some decoder layers, by number: one pass over the data for every layer in turn."""
    prefix, layers = decoder_layers(model)
    top: TopSets = {}
    for number in numbers:
        mlp = layers[number].get_submodule("mlp")
        named = {name: weight for name, weight in mlp.named_parameters() if weight.dim() == 2}
        sums = summed_gradients(model, examples, list(named.values()))
        for (name, weight), total in zip(named.items(), sums, strict=True):
            scores = weight.detach().abs() * total
            best = torch.topk(scores.flatten(), int(RATIO * weight.numel())).indices
            top[f"{prefix}.{number}.mlp.{name}"] = set(best.tolist())
    return top


def summed_gradients(model: PreTrainedModel, examples: Iterable[Example], weights: Sequence[Tensor]) -> list[Tensor]:
    """``sum_i |dL_i/dW|`` in float32 of a few weights, by gradients of their own and one example per batch."""
    sums = [torch.zeros_like(weight, dtype=torch.float32) for weight in weights]
    for weight in weights:
        weight.requires_grad_(True)
    for example in examples:
        model(input_ids=example.ids[None], labels=example.labels[None]).loss.backward()
        for weight, total in zip(weights, sums, strict=True):
            assert weight.grad is not None
            total += weight.grad.abs()
            weight.grad = None
    for weight in weights:
        weight.requires_grad_(False)
    return sums


def differing(top: TopSets, other: TopSets) -> int:
    """How many weights of the top sets are not in the other ones."""
    return sum(len(indices - other[name]) for name, indices in top.items())
