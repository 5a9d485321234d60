"""The interface of scoring engines: examples in, finished matrices out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from spin_hub.core.ranking import Shape
from spin_hub.data.examples import Example
from spin_hub.models.batches import Batch, make_batches, one_by_one, usual_tokens
from spin_hub.models.layers import LayerSource, LoadedLayers
from spin_hub.recipe import Accumulate
from spin_hub.scoring.memory import EVERYTHING_IN_MEMORY, MemoryBudget
from spin_hub.scoring.resume import Journal
from spin_hub.scoring.scores import Score
from spin_hub.scoring.scores.taylor import TAYLOR

Advance = Callable[[int], None]
"""Called with the number of tokens that were just scored."""


@dataclass(frozen=True)
class Pace:
    """Relative durations of the parts of scoring, per token, so that progress advances evenly in time.

    Attributes:
        forward: through a layer forwards.
        backward: through a layer backwards: its forward pass once more, a backward pass of as many products, and
            the products of the scores.
        end: through the head and back, for a token that counts.
    """

    forward: float = 1.0
    backward: float = 3.0
    end: float = 1.0


@dataclass(frozen=True)
class EngineConfig:
    """Resources and settings of an engine.

    Attributes:
        source: brings the layers' weights in.
        budget: where the layerwise engine may keep the layers' inputs.
        tokens_per_batch: padded tokens per batch (a longer example is a batch of its own); None takes what suits the
            device.
        journal: where the layerwise engine keeps inputs and gradients on disk, so that a later run can continue;
            None keeps them for this run only.
        pace: relative durations of the layerwise engine's steps.
        score: the formula of importance.
    """

    source: LayerSource = field(default_factory=LoadedLayers)
    budget: MemoryBudget = EVERYTHING_IN_MEMORY
    tokens_per_batch: int | None = None
    journal: Journal | None = None
    pace: Pace = field(default_factory=Pace)
    score: Score = TAYLOR


@dataclass(frozen=True, eq=False)
class ScoredMatrix:
    """The most important weights of one matrix for one calibration set.

    Attributes:
        indices: int64, shape (K,), flat row-major, best first, ties by the lower index.
        importance: float32, shape (K,), descending.
    """

    parameter: str
    set_name: str
    shape: Shape
    indices: NDArray[np.int64]
    importance: NDArray[np.float32]


class Engine(Protocol):
    """Scores all target matrices of one model."""

    @property
    def name(self) -> str:
        """The engine's name, as in ``--engine``."""
        ...

    def score(self, sets: Mapping[str, Sequence[Example]], keep: float, advance: Advance) -> Iterator[ScoredMatrix]:
        """Yield one matrix for every target and set, in an order of the engine's choice.

        Args:
            sets: name -> examples.
            keep: the ratio up to which weights are kept.
            advance: called with every scored token, so that the total is all tokens of all sets.

        Raises:
            NotFinite: naming the example or matrix.
            UnsupportedModel: the architecture cannot be scored correctly by this engine.
            DeviceOutOfMemory: the device is too small.
        """
        ...


def batches_for(
    examples: Sequence[Example], accumulate: Accumulate, tokens: int | None, device: torch.device
) -> Iterator[Batch]:
    """The batches in which every engine scores a set, on the device.

    Args:
        examples: of one set.
        accumulate: ``model`` takes one example per batch, in sampled order.
        tokens: padded tokens that a batch may have; None takes what suits the device.
        device: where the model begins.
    """
    batched = accumulate == "float32"
    batches = make_batches(examples, tokens or usual_tokens(device)) if batched else one_by_one(examples)
    return (batch.to(device) for batch in batches)
