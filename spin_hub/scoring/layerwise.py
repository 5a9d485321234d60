"""The engine for large models: layer by layer, in the memory of one layer's sums and the kept hidden states.

The layers are run forwards, each for all batches, and every layer's input is kept. Then they are taken backwards:
each is run again and differentiated for all batches of one set after another, its matrices are finished, and the
gradient at its input takes the place of the one at its output. So a layer's weights are needed twice in all, and
the sums of one layer for one set at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from transformers import PreTrainedModel

from spin_hub.data.example import Example
from spin_hub.errors import DeviceOutOfMemory
from spin_hub.models.batches import Batch
from spin_hub.models.layers import LayerSource, LoadedLayers, in_turn
from spin_hub.recipe import Accumulate
from spin_hub.scoring.activation_cache import Journal, Point
from spin_hub.scoring.chain import Chain
from spin_hub.scoring.engine import Advance, ScoredMatrix, batches_for
from spin_hub.scoring.passes import Entry, Passes
from spin_hub.scoring.store import EVERYTHING_IN_MEMORY, Room, Store
from spin_hub.scoring.sums import Sums
from spin_hub.scoring.targets import Target, by_layer


@dataclass(frozen=True)
class Pace:
    """What a token's way through a model takes, in any unit of time, so that progress goes at the speed of time.

    Attributes:
        forward: through a layer forwards.
        backward: through a layer backwards: its forward pass once more, a backward pass of as many products, and
            the products of the scores.
        end: through the head and back, for a token that counts.
    """

    forward: float = 1.0
    backward: float = 3.0
    end: float = 1.0


@dataclass
class LayerwiseEngine:
    """Scores a model whose decoder layers touch each other only through the hidden state.

    Attributes:
        model: in eval mode, its parameters without gradients.
        targets: the linear weights to score.
        accumulate: as in :class:`spin_hub.scoring.whole.WholeEngine`.
        source: brings the layers' weights in.
        room: where the layers' inputs may be kept.
        shortcut: whether the value of a layer's last linear map is left out where only gradients are wanted; right
            for models whose layers end by adding it to the residual, as :mod:`spin_hub.scoring.check` finds out.
        tokens_per_batch: padded tokens that a batch may have; None takes what suits the device.
        pace: what the parts of the work take beside each other.
        journal: where inputs and gradients are kept for a run that goes on; None keeps them for this run alone.
    """

    model: PreTrainedModel
    targets: Sequence[Target]
    accumulate: Accumulate = "float32"
    source: LayerSource = field(default_factory=LoadedLayers)
    room: Room = EVERYTHING_IN_MEMORY
    shortcut: bool = False
    tokens_per_batch: int | None = None
    journal: Journal | None = None
    pace: Pace = field(default_factory=Pace)
    name: str = field(default="layerwise", init=False)

    def score(self, sets: Mapping[str, Sequence[Example]], keep: float, advance: Advance) -> Iterator[ScoredMatrix]:
        """See :class:`spin_hub.scoring.engine.Engine`; the last layer's matrices come first.

        Raises:
            OSError: the file of kept tensors cannot be written.
        """
        chain = Chain(self.model, self.source, self.shortcut)
        targets_of = by_layer(self.model, self.targets)
        lowest, sums = min(targets_of), Sums(self.accumulate)
        entries = [Entry(name, batch) for name, examples in sets.items() for batch in self._batches(examples)]
        point = self._point(entries, max(targets_of), lowest)
        top = point.layer - 1 if point else len(chain) - 1
        progress = _Progress(self.pace, entries, advance)
        progress.expect(0 if point else len(chain), top + 1 - lowest)
        try:
            with Store(self.room) as store:
                passes = Passes(chain, store, lowest, self.journal)
                if point:
                    passes.resume(entries, point)
                else:
                    passes.forwards(entries, progress.forward, progress.end)
                for layer in in_turn(self.source, range(top, lowest - 1, -1)):
                    passes.enter(layer)
                    targets = targets_of.get(layer, ())
                    for set_name in sets:
                        sums.start(targets, set_name)
                        for number, entry in enumerate(entries):
                            if entry.set_name == set_name:
                                passes.backwards(layer, number, targets, partial(sums.add, entry.batch))
                                progress.backward(entry.batch)
                        sums.check()
                        yield from sums.finish(keep)
                    passes.leave(layer)
        except torch.OutOfMemoryError as error:
            raise DeviceOutOfMemory(device=self.model.device, why="scoring needs more") from error

    def _point(self, entries: Sequence[Entry], highest: int, lowest: int) -> Point | None:
        """Where the journal says that this scoring can go on."""
        shapes = [entry.batch.ids.shape for entry in entries]
        return self.journal.latest(highest, lowest, shapes, self.model.device) if self.journal else None

    def _batches(self, examples: Sequence[Example]) -> Iterator[Batch]:
        return batches_for(examples, self.accumulate, self.tokens_per_batch, self.model.device)


class _Progress:
    """Turns work on layers into tokens of progress, so that all tokens are done when all work is."""

    def __init__(self, pace: Pace, entries: Sequence[Entry], advance: Advance) -> None:
        self._pace = pace
        self._advance = advance
        self._tokens = sum(sum(entry.batch.lengths) for entry in entries)
        self._counted = sum(len(entry.batch.labels) for entry in entries)
        self._work = self._done = 0.0
        self._reported = 0

    def expect(self, forwards: int, backwards: int) -> None:
        """Set out for so many layers in either direction, and for the head where the way begins with the first."""
        pace = self._pace
        self._work = self._tokens * (pace.forward * forwards + pace.backward * backwards)
        self._work += pace.end * self._counted if forwards else 0.0

    def forward(self, batch: Batch) -> None:
        """Count a batch that has passed a layer forwards."""
        self._step(self._pace.forward * sum(batch.lengths))

    def backward(self, batch: Batch) -> None:
        """Count a batch that has passed a layer backwards."""
        self._step(self._pace.backward * sum(batch.lengths))

    def end(self, batch: Batch) -> None:
        """Count a batch that has been through the head and back."""
        self._step(self._pace.end * len(batch.labels))

    def _step(self, work: float) -> None:
        self._done += work
        # Rounded, so that the last step ends at the last token.
        tokens = round(self._tokens * self._done / self._work)
        self._advance(tokens - self._reported)
        self._reported = tokens
