"""The plain engine: one forward and one backward pass per batch for all target matrices at once.

It holds the float32 sums of every target matrix for one calibration set at a time. It is the statement that
later engines are compared with.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from spin_hub.core.example import Example
from spin_hub.core.importance import add_absolute_gradient, importance, top_weights
from spin_hub.core.ranking import kept_count_of
from spin_hub.errors import DeviceOutOfMemory, NotFinite
from spin_hub.recipe import Accumulate
from spin_hub.scoring.batches import Batch, make_batches, one_by_one
from spin_hub.scoring.capture import GradientCapture, ResponseLogits
from spin_hub.scoring.engine import Advance, ScoredMatrix
from spin_hub.scoring.targets import Target

TOKENS_PER_BATCH = 1024


@dataclass
class WholeEngine:
    """Scores a loaded model.

    Attributes:
        model: in eval mode, its parameters without gradients.
        targets: the linear weights to score.
        accumulate: ``float32`` sums in float32 over length-sorted batches; ``model`` sums in the model's dtype,
            one example per batch, in sampled order.
        tokens_per_batch: padded tokens that a batch may have (a longer example is a batch of its own).
    """

    model: PreTrainedModel
    targets: Sequence[Target]
    accumulate: Accumulate = "float32"
    tokens_per_batch: int = TOKENS_PER_BATCH
    name: str = field(default="whole", init=False)

    def score(
        self, sets: Mapping[str, Sequence[Example]], keep: float, advance: Advance
    ) -> Iterator[ScoredMatrix]:
        """See :class:`spin_hub.scoring.engine.Engine`."""
        for set_name, examples in sets.items():
            sums = self._sums(set_name, examples, advance)
            for target in self.targets:
                yield _finish(target, set_name, sums.pop(target.parameter), keep)

    def _sums(self, set_name: str, examples: Sequence[Example], advance: Advance) -> dict[str, Tensor]:
        """``sum_i |dL_i/dW|`` of every target over one set, each in the layout (out, in)."""
        sums = {target.parameter: self._empty(target) for target in self.targets}
        batched = self.accumulate == "float32"
        batches = make_batches(examples, self.tokens_per_batch) if batched else one_by_one(examples)
        try:
            for batch in batches:
                self._add(set_name, batch.to(self.model.device), sums)
                advance(sum(batch.lengths))
        except torch.OutOfMemoryError as error:
            raise DeviceOutOfMemory(device=self.model.device, why=f"scoring {set_name!r}") from error
        return sums

    def _empty(self, target: Target) -> Tensor:
        weight = target.weight
        shape = tuple(reversed(weight.shape)) if target.transposed else tuple(weight.shape)
        dtype = torch.float32 if self.accumulate == "float32" else weight.dtype
        return torch.zeros(shape, dtype=max(dtype, weight.dtype, key=_precision), device=weight.device)

    def _add(self, set_name: str, batch: Batch, sums: Mapping[str, Tensor]) -> None:
        healthy: list[Tensor] = []

        def add(target: Target, delta: Tensor, inputs: Tensor) -> None:
            healthy.append(torch.isfinite(delta.sum(dim=(1, 2), dtype=torch.float32)))
            for row, length in enumerate(batch.lengths):
                add_absolute_gradient(sums[target.parameter], delta[row, :length], inputs[row, :length])

        with torch.enable_grad(), GradientCapture(self.targets, batch.shape, add), ResponseLogits(self.model, batch) as head:
            logits = head.select(self.model(input_ids=batch.ids, use_cache=False).logits)
            losses = functional.cross_entropy(logits.float(), batch.labels, reduction="none")
            losses = losses.new_zeros(len(batch.rows)).index_add(0, batch.owner, losses * batch.share)
            _refuse("The loss", set_name, batch, torch.isfinite(losses.detach()))
            losses.sum().backward()  # type: ignore[no-untyped-call]
        _refuse("A gradient", set_name, batch, torch.stack(healthy).all(dim=0))


def _finish(target: Target, set_name: str, sums: Tensor, keep: float) -> ScoredMatrix:
    weight = target.weight
    scores = importance(weight, sums.t().contiguous() if target.transposed else sums)
    if not torch.isfinite(scores.sum(dtype=torch.float64)):
        raise NotFinite(what="An importance", where=f"in {target.parameter} for the set {set_name!r}")
    shape = tuple(weight.shape)
    indices, values = top_weights(scores, kept_count_of(keep, shape))
    return ScoredMatrix(
        target.parameter, set_name, shape, indices.cpu().numpy(), values.float().cpu().numpy().astype(np.float32)
    )


def _refuse(what: str, set_name: str, batch: Batch, finite: Tensor) -> None:
    if not bool(finite.all()):
        row = batch.rows[int((~finite).nonzero()[0])]
        raise NotFinite(what=what, where=f"for row {row} of the calibration set {set_name!r}")


def _precision(dtype: torch.dtype) -> int:
    return dtype.itemsize
