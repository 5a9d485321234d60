"""The plain engine: one forward and one backward pass per batch for all target matrices at once.

It holds the float32 sums of every target matrix for one calibration set at a time. It is the statement that
later engines are compared with.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from spin_hub.core.batches import Batch, make_batches, one_by_one, usual_tokens
from spin_hub.core.example import Example
from spin_hub.core.importance import add_absolute_gradient, importance, top_weights
from spin_hub.core.ranking import kept_count_of
from spin_hub.errors import DeviceOutOfMemory, NotFinite
from spin_hub.forward import ResponseLogits
from spin_hub.recipe import Accumulate
from spin_hub.scoring.capture import GradientCapture
from spin_hub.scoring.engine import Advance, ScoredMatrix
from spin_hub.scoring.targets import Target


@dataclass
class WholeEngine:
    """Scores a loaded model.

    Attributes:
        model: in eval mode, its parameters without gradients.
        targets: the linear weights to score.
        accumulate: ``float32`` sums in float32 over length-sorted batches; ``model`` sums in the model's dtype,
            one example per batch, in sampled order.
        tokens_per_batch: padded tokens that a batch may have (a longer example is a batch of its own);
            None takes what suits the device.
    """

    model: PreTrainedModel
    targets: Sequence[Target]
    accumulate: Accumulate = "float32"
    tokens_per_batch: int | None = None
    name: str = field(default="whole", init=False)
    _scratches: dict[tuple[Any, ...], Tensor] = field(default_factory=dict, init=False)

    def score(self, sets: Mapping[str, Sequence[Example]], keep: float, advance: Advance) -> Iterator[ScoredMatrix]:
        """See :class:`spin_hub.scoring.engine.Engine`."""
        try:
            sums = {target.parameter: self._empty(target) for target in self.targets}
            for set_name, examples in sets.items():
                self._sum(set_name, examples, sums, advance)
                for target in self.targets:
                    yield _finish(target, set_name, sums[target.parameter], keep)
        except torch.OutOfMemoryError as error:
            raise DeviceOutOfMemory(device=self.model.device, why="scoring needs more") from error

    def _sum(self, set_name: str, examples: Sequence[Example], sums: Mapping[str, Tensor], advance: Advance) -> None:
        """Fills ``sums`` with ``sum_i |dL_i/dW|`` of one set, each in the layout (out, in)."""
        for total in sums.values():
            total.zero_()
        budget = self.tokens_per_batch or usual_tokens(self.model.device)
        batched = self.accumulate == "float32"
        for batch in make_batches(examples, budget) if batched else one_by_one(examples):
            self._add(set_name, batch.to(self.model.device), sums)
            advance(sum(batch.lengths))

    def _empty(self, target: Target) -> Tensor:
        weight = target.weight
        shape = tuple(reversed(weight.shape)) if target.transposed else tuple(weight.shape)
        dtype = weight.dtype if self.accumulate == "model" else torch.promote_types(torch.float32, weight.dtype)
        return torch.empty(shape, dtype=dtype, device=weight.device)

    def _scratch(self, like: Tensor, dtype: torch.dtype) -> Tensor:
        """Room for one product of a shape, shared by all targets of that shape."""
        key = (tuple(like.shape), dtype, like.device)
        if key not in self._scratches:
            self._scratches[key] = torch.empty(like.shape, dtype=dtype, device=like.device)
        return self._scratches[key]

    def _add(self, set_name: str, batch: Batch, sums: Mapping[str, Tensor]) -> None:
        healthy: list[Tensor] = []

        def add(target: Target, delta: Tensor, inputs: Tensor) -> None:
            healthy.append(torch.isfinite(delta.sum(dim=(1, 2), dtype=torch.float32)))
            total = sums[target.parameter]
            scratch = self._scratch(total, delta.dtype)
            for row, length in enumerate(batch.lengths):
                add_absolute_gradient(total, delta[row, :length], inputs[row, :length], scratch)

        with (
            torch.enable_grad(),
            GradientCapture(self.targets, batch.shape, add),
            ResponseLogits(self.model, batch) as head,
        ):
            logits = head.select(self.model(input_ids=batch.ids, use_cache=False).logits)
            losses = functional.cross_entropy(logits.float(), batch.labels, reduction="none")
            losses = losses.new_zeros(len(batch.rows)).index_add(0, batch.owner, losses * batch.share)
            _refuse("The loss", set_name, batch, torch.isfinite(losses.detach()))
            losses.sum().backward()  # type: ignore[no-untyped-call]
        _refuse("A gradient", set_name, batch, torch.stack(healthy).all(dim=0))


def _finish(target: Target, set_name: str, sums: Tensor, keep: float) -> ScoredMatrix:
    weight = target.weight
    scores = importance(weight, sums.t().contiguous() if target.transposed else sums)
    # No score is negative, and a NaN is the largest of all, so the largest one tells.
    if not torch.isfinite(scores.max()):
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
