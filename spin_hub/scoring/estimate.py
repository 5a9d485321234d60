"""What scoring will cost: memory from the shapes, time from a one-second probe of this machine."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from transformers import PreTrainedModel

from spin_hub.core.batches import usual_tokens
from spin_hub.core.example import Example
from spin_hub.scoring.placement import Placement
from spin_hub.scoring.targets import Target, decoder_layers

LIBRARIES: Final = 600 << 20
"""What the imported libraries take before any model is loaded, in bytes (measured with the pinned versions)."""

_SHARE: Final[Mapping[torch.dtype, float]] = {torch.float32: 0.55, torch.bfloat16: 0.35}
"""The share of the machine's peak in matrix products that the whole engine reaches (benchmarks/RESULTS.md)."""

_READING_SHARE: Final[Mapping[torch.dtype, float]] = {torch.float32: 0.75, torch.bfloat16: 0.6}
"""The same for plain forward passes, the softmax over the vocabulary included."""


@dataclass(frozen=True)
class Cost:
    """An estimate.

    Attributes:
        memory: part -> bytes that are needed at the same time.
        operations: floating-point operations of the scoring passes.
        seconds: of the scoring passes on this machine.
        reading: seconds of the forward passes that measure the edit.
    """

    memory: Mapping[str, int]
    operations: int
    seconds: float
    reading: float


@dataclass(frozen=True)
class Reading:
    """Examples that forward passes read, and how often each is read."""

    examples: Sequence[Example] = ()
    times: int = 1


def estimate(
    skeleton: PreTrainedModel,
    targets: Sequence[Target],
    sets: Mapping[str, Sequence[Example]],
    reading: Reading,
    where: Placement,
) -> Cost:
    """Estimates the cost of scoring with the whole engine, and of the measurements after it.

    Per token 4N + 2M operations for N weights passed through and M scored, per response token 4E for the head's E;
    a token that is only read takes 2N, and 2E where it counts.

    Args:
        skeleton: the model's modules, with or without memory for the weights.
        targets: of the skeleton.
        sets: name -> examples.
        reading: what is read to measure the edit.
        where: the model will run.
    """
    examples = [example for group in sets.values() for example in group]
    passed = sum(weight.numel() for weight in decoder_layers(skeleton)[1].parameters() if weight.dim() >= 2)
    scored = sum(target.weight.numel() for target in targets)
    embedding = skeleton.get_output_embeddings()
    head = sum(weight.numel() for weight in embedding.parameters()) if embedding is not None else 0
    tokens, counted = sum(map(len, examples)), sum(example.counted for example in examples)
    operations = (4 * passed + 2 * scored) * tokens + 4 * head * counted
    read = 2 * passed * sum(map(len, reading.examples)) + 2 * head * sum(entry.counted for entry in reading.examples)
    peak = _peak(where)
    return Cost(
        memory=_memory(skeleton, targets, examples, where),
        operations=operations,
        seconds=operations / (peak * _SHARE.get(where.dtype, 0.3)),
        reading=read * reading.times / (peak * _READING_SHARE.get(where.dtype, 0.5)),
    )


def _memory(
    skeleton: PreTrainedModel,
    targets: Sequence[Target],
    examples: Sequence[Example],
    where: Placement,
) -> dict[str, int]:
    weights = sum(parameter.numel() for parameter in skeleton.parameters()) * where.dtype.itemsize
    sums = sum(target.weight.numel() for target in targets) * max(4, where.dtype.itemsize)
    batch = max(usual_tokens(where.device), *map(len, examples))
    vocabulary = int(skeleton.config.get_text_config().vocab_size)
    return {
        "libraries": LIBRARIES,
        "weights": weights,
        "sums": sums,
        "activations": batch * max(4, where.dtype.itemsize) * (_features(skeleton) + 3 * vocabulary),
    }


def _features(skeleton: PreTrainedModel) -> int:
    """Values per token that a pass keeps: about the inputs and outputs of all linear maps of the layers.

    They are counted with four bytes in half precision too, where float32 copies come and go beside them
    (benchmarks/RESULTS.md has what was measured).
    """
    _, layers = decoder_layers(skeleton)
    return sum(sum(weight.shape[-2:]) for weight in layers.parameters() if weight.dim() >= 2)


def _peak(where: Placement) -> float:
    """Operations a second in matrix products, from at most a second of them."""
    size = 1024 if where.device.type == "cpu" else 8192
    first = torch.randn(size, size, device=where.device).to(where.dtype)
    best, started = 0.0, time.monotonic()
    while time.monotonic() - started < 1.0:
        before = time.monotonic()
        float((first @ first)[0, 0])  # reading one value waits for the device
        best = max(best, 2 * size**3 / (time.monotonic() - before))
    return best
