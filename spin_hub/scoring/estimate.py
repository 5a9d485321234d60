"""What scoring will cost: memory from how the model is held, time from a one-second probe of this machine."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch

from spin_hub.core.example import Example
from spin_hub.scoring.holding import Demand, Holding
from spin_hub.scoring.placement import Placement
from spin_hub.scoring.targets import decoder_layers

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


def estimate(demand: Demand, holding: Holding, reading: Reading) -> Cost:
    """Estimates the cost of scoring, and of the measurements after it.

    Per token the whole engine takes 4N + 2M operations for N weights passed through and M scored, and per response
    token 4E for the head's E; the layerwise engine passes forwards once more, which makes 6N. A token that is only
    read takes 2N, and 2E where it counts.

    Args:
        demand: what is scored.
        holding: how it is held.
        reading: what is read to measure the edit.
    """
    skeleton, where = demand.skeleton, demand.where
    passed = sum(weight.numel() for weight in decoder_layers(skeleton)[1].parameters() if weight.dim() >= 2)
    scored = sum(target.weight.numel() for target in demand.targets)
    embedding = skeleton.get_output_embeddings()
    head = sum(weight.numel() for weight in embedding.parameters()) if embedding is not None else 0
    tokens = sum(map(len, demand.examples))
    counted = sum(example.counted for example in demand.examples)
    passes = 4 if holding.engine == "whole" else 6
    operations = (passes * passed + 2 * scored) * tokens + 4 * head * counted
    read = 2 * passed * sum(map(len, reading.examples)) + 2 * head * sum(entry.counted for entry in reading.examples)
    peak = _peak(where)
    return Cost(
        memory=holding.memory,
        operations=operations,
        seconds=operations / (peak * _SHARE.get(where.dtype, 0.3)),
        reading=read * reading.times / (peak * _READING_SHARE.get(where.dtype, 0.5)),
    )


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
