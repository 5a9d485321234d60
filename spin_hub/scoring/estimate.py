"""An estimate of the cost of scoring and measuring: operations by kind, and seconds by the measured speed of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch

from spin_hub.data.examples import Example
from spin_hub.errors import PrecisionUnavailable
from spin_hub.models.device import name_of
from spin_hub.models.layers import decoder_layers
from spin_hub.models.speed import Speed, Unusable, speeds
from spin_hub.scoring.memory import MemoryPlan, MemoryRequest

_SHARE: Final[Mapping[torch.dtype, float]] = {torch.float32: 0.65, torch.bfloat16: 0.4}
"""The share of the speed of plain products that scoring reaches (benchmarks/RESULTS.md)."""

_READING_SHARE: Final[Mapping[torch.dtype, float]] = {torch.float32: 0.75, torch.bfloat16: 0.5}
"""The share that plain forward passes reach, the softmax over the vocabulary included."""


@dataclass(frozen=True)
class Cost:
    """An estimated cost.

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


@dataclass(frozen=True)
class Work:
    """Weights that a token meets on its way through a model, and what the products with them take.

    Attributes:
        passed: weights of the decoder layers' matrices.
        scored: weights of the target matrices.
        head: weights of the output embedding.
        speed: of the products.
        layers: how many decoder layers there are.
    """

    passed: int
    scored: int
    head: int
    speed: Speed
    layers: int

    @classmethod
    def of(cls, demand: MemoryRequest, dtype: torch.dtype | None = None) -> "Work":
        """The work of a demand, in its own precision or another.

        Raises:
            PrecisionUnavailable: the device cannot compute in that precision.
        """
        skeleton, where = demand.skeleton, demand.where
        layers = decoder_layers(skeleton)[1]
        embedding = skeleton.get_output_embeddings()
        return cls(
            passed=sum(weight.numel() for weight in layers.parameters() if weight.dim() >= 2),
            scored=sum(target.weight.numel() for target in demand.targets),
            head=sum(weight.numel() for weight in embedding.parameters()) if embedding is not None else 0,
            speed=speed_of(where.device, dtype or where.dtype),
            layers=len(layers),
        )

    @property
    def forward(self) -> float:
        """Seconds of a token's forward pass through one layer."""
        return self.speed.seconds(forward=2 * self.passed) / self.layers

    @property
    def backward(self) -> float:
        """Seconds of its way back: the layer once more, the gradient at its input, and those of its targets."""
        back = self.speed.seconds(forward=2 * self.passed, backward=2 * self.passed, gradient=2 * self.scored)
        return back / self.layers

    @property
    def end(self) -> float:
        """Seconds of a counted token's way through the head and back."""
        return self.speed.seconds(forward=2 * self.head, backward=2 * self.head)


def speed_of(device: torch.device, dtype: torch.dtype) -> Speed:
    """The speed of a device in one precision.

    Raises:
        PrecisionUnavailable: the device cannot compute in it.
    """
    known = speeds(device, {dtype})[dtype]
    if isinstance(known, Unusable):
        raise PrecisionUnavailable(dtype=name_of(dtype), device=device.type, why=known.why)
    return known


def scoring_seconds(demand: MemoryRequest, engine: str, dtype: torch.dtype | None = None) -> float:
    """Seconds that scoring takes with an engine, in the demand's precision or another."""
    work = Work.of(demand, dtype)
    tokens = sum(map(len, demand.examples))
    counted = sum(example.counted for example in demand.examples)
    # The whole engine keeps the results of its forward pass, so it needs no second one.
    passes = work.layers * (work.backward if engine == "whole" else work.forward + work.backward)
    return (tokens * passes + counted * work.end) / _SHARE.get(dtype or demand.where.dtype, 0.4)


def estimate(demand: MemoryRequest, holding: MemoryPlan, reading: Reading) -> Cost:
    """Estimate the cost of scoring, and of the measurements after it.

    Per token the whole engine takes 4N + 2M operations for N weights passed through and M scored, and per response
    token 4E for the head's E; the layerwise engine passes forwards once more, which makes 6N. A token that is only
    read takes 2N, and 2E where it counts.

    Args:
        demand: what is scored.
        holding: how it is held.
        reading: what is read to measure the edit.
    """
    work = Work.of(demand)
    tokens = sum(map(len, demand.examples))
    counted = sum(example.counted for example in demand.examples)
    passes = 4 if holding.engine == "whole" else 6
    read = work.forward * work.layers * sum(map(len, reading.examples))
    read += work.speed.seconds(forward=2 * work.head) * sum(entry.counted for entry in reading.examples)
    return Cost(
        memory=holding.memory,
        operations=(passes * work.passed + 2 * work.scored) * tokens + 4 * work.head * counted,
        seconds=scoring_seconds(demand, holding.engine),
        reading=read * reading.times / _READING_SHARE.get(demand.where.dtype, 0.5),
    )
