"""What every scoring engine does: examples in, finished matrices out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from spin_hub.core.ranking import Shape
from spin_hub.data.example import Example
from spin_hub.models.batches import Batch, make_batches, one_by_one, usual_tokens
from spin_hub.recipe import Accumulate

Advance = Callable[[int], None]
"""Called with the number of tokens that were just scored."""


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
        """Yields one matrix for every target and set, in an order of the engine's choice.

        Args:
            sets: name -> examples.
            keep: the ratio up to which weights are kept.
            advance: told of every scored token, so that the total is all tokens of all sets.

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
