"""A small random model of the same architecture, to find out how that architecture behaves."""

import copy
from typing import Any, Final

import torch
from transformers import PreTrainedModel

from spin_hub.errors import UnsupportedModel

DEPTH: Final = 4
_LIMITS: Final = {
    "intermediate_size": 256,
    "vocab_size": 512,
    "vocab_size_per_layer_input": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 1,
}


def shrunk(model: PreTrainedModel) -> PreTrainedModel:
    """A model of the same class with four layers, a narrow MLP and a small vocabulary, on the CPU in float32.

    Both halves have two layers of different kinds where the model has several, and counts of layers, such as how many
    share something, are cut to two. So upper layers find what they share with lower ones of their kind.

    Raises:
        UnsupportedModel: the class cannot be built from such a config.
    """
    config = copy.deepcopy(model.config)
    _shrink(config.get_text_config())
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            small = type(model)(config)
    except (AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        why = f"a small model of its architecture, to check the layerwise engine with, cannot be built ({error})"
        raise UnsupportedModel(what=type(model).__name__, why=why) from error
    return small.float().eval().requires_grad_(False)


def _shrink(config: Any) -> None:
    depth = int(config.num_hidden_layers)
    kinds = getattr(config, "layer_types", None) or []
    other = next((number for number, kind in enumerate(kinds) if kind != kinds[0]), depth - 1)
    for name, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == depth:
            setattr(config, name, [value[0], value[other]] * (DEPTH // 2))
        elif name.endswith("_layers") and type(value) is int:
            setattr(config, name, min(value, DEPTH // 2))
    config.num_hidden_layers = DEPTH
    for name, limit in _LIMITS.items():
        if type(getattr(config, name, None)) is int:
            setattr(config, name, min(limit, getattr(config, name)))
