"""The plain engine: one forward and one backward pass per batch for all target matrices at once.

It holds the float32 sums of every target matrix for one calibration set at a time. It is the statement that
the other engine is compared with.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from transformers import PreTrainedModel

from spin_hub.data.examples import Example
from spin_hub.errors import DeviceOutOfMemory
from spin_hub.models.batches import Batch
from spin_hub.recipe import Accumulate
from spin_hub.scoring.engine import Advance, ScoredMatrix, batches_for
from spin_hub.scoring.hooks import GradientCapture, OnGradient, backward_from_loss
from spin_hub.scoring.scores import Score
from spin_hub.scoring.scores.taylor import TAYLOR
from spin_hub.scoring.sums import Sums
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
        formula: the formula of importance.
    """

    model: PreTrainedModel
    targets: Sequence[Target]
    accumulate: Accumulate = "float32"
    tokens_per_batch: int | None = None
    formula: Score = TAYLOR
    name: str = field(default="whole", init=False)

    def score(self, sets: Mapping[str, Sequence[Example]], keep: float, advance: Advance) -> Iterator[ScoredMatrix]:
        """See :class:`spin_hub.scoring.engine.Engine`."""
        sums, last = Sums(self.accumulate, self.formula), list(sets)[-1:]
        try:
            for set_name, examples in sets.items():
                sums.start(self.targets, set_name)
                for batch in batches_for(examples, self.accumulate, self.tokens_per_batch, self.model.device):
                    differentiate(self.model, self.targets, batch, set_name, partial(sums.add, batch))
                    sums.check()
                    advance(sum(batch.lengths))
                if [set_name] == last:
                    sums.check_called()
                yield from sums.finish(keep)
        except torch.OutOfMemoryError as error:
            raise DeviceOutOfMemory(device=self.model.device, why="scoring needs more") from error


def differentiate(
    model: PreTrainedModel, targets: Sequence[Target], batch: Batch, set_name: str, on_gradient: OnGradient
) -> None:
    """One forward and one backward pass of a batch, in which every target's gradient is caught.

    Raises:
        NotFinite: the loss of an example is not finite.
        UnsupportedModel: a target that is used more than once, or not as a linear map.
    """
    with GradientCapture(targets, batch.shape, on_gradient):
        backward_from_loss(model, batch, set_name)
