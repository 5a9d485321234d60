"""Sums over the examples of one calibration set, for some matrices at a time, and the scores that they become."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spin_hub.core.ranking import kept_count_of
from spin_hub.errors import NotFinite, UnsupportedModel
from spin_hub.models.batches import Batch
from spin_hub.recipe import Accumulate
from spin_hub.scoring.engine import ScoredMatrix
from spin_hub.scoring.hooks import refuse
from spin_hub.scoring.importance import top_weights
from spin_hub.scoring.scores import Passed, Score
from spin_hub.scoring.scores.taylor import TAYLOR
from spin_hub.scoring.targets import Target


class Sums:
    """Sums of some targets, each in the layout of its weight, as a score adds them up: SPIN's ``sum_i |dL_i/dW|``.

    Sums are float32 or better, or with ``accumulate="model"`` of the model's dtype. Their memory is used again by
    the next targets of the same shapes, because fresh memory costs about as much as filling it.
    """

    def __init__(self, accumulate: Accumulate, score: Score = TAYLOR) -> None:
        self._accumulate = accumulate
        self._score = score
        self._memory: dict[tuple[Any, ...], Tensor] = {}
        self._sums: dict[Target, Tensor] = {}
        self._set_name = ""
        self._healthy: list[tuple[Target, Batch, Tensor]] = []
        self._called: set[Target] = set()

    def start(self, targets: Sequence[Target], set_name: str) -> None:
        """Begin again, with sums of zero for these targets."""
        self._set_name = set_name
        self._sums = {}
        self._healthy = []
        for number, target in enumerate(targets):
            self._sums[target] = self._room(target, number).zero_()

    def add(self, batch: Batch, target: Target, delta: Tensor, inputs: Tensor) -> None:
        """Add a batch.

        Args:
            batch: B examples of at most T tokens.
            target: one of those that it was started with.
            delta: shape (B, T, out), the loss's gradient at the target's output.
            inputs: shape (B, T, in), the target's input.
        """
        self._called.add(target)
        self._healthy.append((target, batch, torch.isfinite(delta.sum(dim=(1, 2), dtype=torch.float32))))
        width = batch.shape[1]
        segments = [(row * width, row * width + length) for row, length in enumerate(batch.lengths)]
        passed = Passed(delta.flatten(0, 1), inputs.flatten(0, 1), segments, target.transposed)
        self._score.accumulate(self._sums[target], passed)

    def check(self) -> None:
        """Refuse gradients that are not finite, among those added since the last check.

        It is separate from adding them because it waits for the device.

        Raises:
            NotFinite: naming the matrix and the example.
        """
        healthy, self._healthy = self._healthy, []
        for target, batch, finite in healthy:
            where = f"of the calibration set {self._set_name!r} at {target.parameter}"
            refuse("A gradient", where, batch, finite)

    def check_called(self) -> None:
        """Refuse targets that no batch of any set has reached, although their scores of 0 would look like others.

        An expert may be left out by its router; it has no importance then.

        Raises:
            UnsupportedModel: naming the first such target.
        """
        for target in self._sums:
            if target not in self._called and "expert" not in target.parameter:
                raise UnsupportedModel(what=f"The parameter {target.parameter}", why="the model never calls its module")

    def finish(self, keep: float) -> Iterator[ScoredMatrix]:
        """The most important weights of every target; its sums are dropped.

        Raises:
            NotFinite: an importance is not finite.
        """
        for target in tuple(self._sums):
            yield finished(target, self._set_name, self._sums.pop(target), keep, self._score)

    def _room(self, target: Target, number: int) -> Tensor:
        weight = target.weight
        dtype = weight.dtype if self._accumulate == "model" else torch.promote_types(torch.float32, weight.dtype)
        key = (number, tuple(weight.shape), dtype, weight.device)
        if key not in self._memory:
            # Another shape under this number means another layer or device: the memory of the earlier one is dropped.
            self._memory = {other: room for other, room in self._memory.items() if other[0] != number}
            self._memory[key] = torch.empty(weight.shape, dtype=dtype, device=weight.device)
        return self._memory[key]


def finished(target: Target, set_name: str, sums: Tensor, keep: float, score: Score = TAYLOR) -> ScoredMatrix:
    """A target's most important weights for one set; overwrites the sums.

    Raises:
        NotFinite: an importance is not finite.
    """
    scores = score.finish(target.weight, sums)
    # No score is negative, and a NaN is the largest of all, so the largest one tells.
    if not torch.isfinite(scores.max()):
        raise NotFinite(what="An importance", where=f"in {target.parameter} for the set {set_name!r}")
    shape = tuple(scores.shape)
    indices, values = top_weights(scores, kept_count_of(keep, shape))
    found = values.float().cpu().numpy().astype(np.float32)
    return ScoredMatrix(target.parameter, set_name, shape, indices.cpu().numpy(), found)
