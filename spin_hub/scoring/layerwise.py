"""The engine for large models: layer by layer, in the memory of one layer's sums and the kept hidden states.

The layers are run forwards, each for all batches, and every layer's input is kept. Then they are taken backwards:
each is run again and differentiated for all batches of one set after another, its matrices are finished, and the
gradient at its input takes the place of the one at its output. So a layer's weights are needed twice in all, and
the sums of one layer for one set at a time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedModel

from spin_hub.data.examples import Example
from spin_hub.errors import DeviceOutOfMemory
from spin_hub.models.batches import Batch
from spin_hub.models.layers import in_turn
from spin_hub.recipe import Accumulate
from spin_hub.scoring.chain import Call, Chain
from spin_hub.scoring.engine import Advance, EngineConfig, Pace, ScoredMatrix, batches_for
from spin_hub.scoring.hooks import GradientCapture, OnGradient
from spin_hub.scoring.resume import Journal, Point
from spin_hub.scoring.store import Store
from spin_hub.scoring.sums import Sums
from spin_hub.scoring.targets import Target, by_layer


@dataclass(frozen=True, eq=False)
class Entry:
    """A batch, on the model's device, and the set that it belongs to."""

    set_name: str
    batch: Batch


class Passes:
    """Batches on their way through a chain.

    After :meth:`forwards` the store holds the input of every layer from the lowest one that counts, and the loss's
    gradient at the last layer's output; :meth:`backwards` gives up a layer's input and replaces the gradient by the one
    at this input. Batches are known by their number among the entries.

    Args:
        chain: the layers.
        store: for inputs and gradients.
        lowest: the lowest layer that counts.
        journal: where inputs are kept in place of the store, and gradients beside it; None keeps nothing on disk.
    """

    def __init__(self, chain: Chain, store: Store, lowest: int, journal: Journal | None = None) -> None:
        self._chain = chain
        self._store = store
        self._lowest = lowest
        self._journal = journal
        self._entries: Sequence[Entry] = ()
        self._calls: list[Sequence[Call]] = []

    @torch.no_grad()
    def forwards(
        self, entries: Sequence[Entry], after: Callable[[Batch], None], ended: Callable[[Batch], None]
    ) -> None:
        """Take all batches to the last layer's output and differentiate what follows it.

        Args:
            entries: the batches.
            after: called after every layer with the batch that has passed it.
            ended: called with every batch that has been through the head and back.

        Raises:
            NotFinite: the loss of an example is not finite.
            UnsupportedModel: the layers do not form a chain.
        """
        for number, hidden in enumerate(self._starts(entries)):
            self._store.put((0, number), hidden)
        for layer in in_turn(self._chain.source, range(len(self._chain))):
            kept = layer >= self._lowest
            if kept and self._journal:
                self._journal.keep_inputs(layer, [self._store.get((layer, number)) for number in range(len(entries))])
            find = self._store.get if kept and not self._journal else self._store.take
            for number, entry in enumerate(entries):
                output = self._chain.run(layer, find((layer, number)), self._calls[number][layer])
                self._store.put((layer + 1, number), output)
                after(entry.batch)
        for number, entry in enumerate(entries):
            output = self._store.take((len(self._chain), number))
            self._store.put(("gradient", number), self._chain.end(entry.batch, output, entry.set_name))
            ended(entry.batch)
        self._keep_gradients(len(self._chain))

    @torch.no_grad()
    def resume(self, entries: Sequence[Entry], point: Point) -> None:
        """Replace :meth:`forwards` by what the journal has kept."""
        for _ in self._starts(entries):
            pass
        for number, gradient in enumerate(point.gradients):
            self._store.put(("gradient", number), gradient)

    def enter(self, layer: int) -> None:
        """Prepare the backward pass of a layer."""
        if self._journal:
            for number, hidden in enumerate(self._journal.inputs(layer, self._chain.model.device)):
                self._store.put((layer, number), hidden)

    def leave(self, layer: int) -> None:
        """Finish a layer, once all batches have passed it backwards and its matrices are finished."""
        if layer > self._lowest:
            self._keep_gradients(layer)

    def _keep_gradients(self, layer: int) -> None:
        if self._journal:
            self._journal.finish(layer, [self._store.get(("gradient", n)) for n in range(len(self._entries))])

    def _starts(self, entries: Sequence[Entry]) -> Iterator[Tensor]:
        """The first layer's hidden states; learns how the layers are called."""
        self._entries = entries
        for entry in entries:
            start = self._chain.start(entry.batch)
            self._calls.append(start.calls)
            yield start.hidden

    def backwards(self, layer: int, number: int, targets: Sequence[Target], on_gradient: OnGradient) -> None:
        """Run a layer once more for a batch, and differentiate it. The layer must be present.

        Args:
            layer: the highest one of those that this batch has not been through yet.
            number: of the batch.
            targets: of this layer.
            on_gradient: given the gradient of each.

        Raises:
            UnsupportedModel: a target that is used more than once, or not as a linear map.
        """
        gradient = self._store.take(("gradient", number))
        goes_on = layer > self._lowest
        hidden = self._store.take((layer, number)).detach().requires_grad_(goes_on)
        shape = self._entries[number].batch.shape
        with GradientCapture(targets, shape, on_gradient):
            output = self._chain.differentiable(layer, hidden, self._calls[number][layer])
        torch.autograd.backward(output, gradient)
        if goes_on:
            assert hidden.grad is not None
            self._store.put(("gradient", number), hidden.grad)


@dataclass
class LayerwiseEngine:
    """Scores a model whose decoder layers touch each other only through the hidden state.

    Attributes:
        model: in eval mode, its parameters without gradients.
        targets: the linear weights to score.
        accumulate: as in :class:`spin_hub.scoring.whole.WholeEngine`.
        config: see :class:`spin_hub.scoring.engine.EngineConfig`.
        shortcut: whether the value of a layer's last linear map is left out where only gradients are wanted; right
            for models whose layers end by adding it to the residual, as :mod:`spin_hub.scoring.choosing` finds out.
    """

    model: PreTrainedModel
    targets: Sequence[Target]
    accumulate: Accumulate = "float32"
    config: EngineConfig = field(default_factory=EngineConfig)
    shortcut: bool = False
    name: str = field(default="layerwise", init=False)

    def score(self, sets: Mapping[str, Sequence[Example]], keep: float, advance: Advance) -> Iterator[ScoredMatrix]:
        """See :class:`spin_hub.scoring.engine.Engine`; the last layer's matrices come first.

        Raises:
            OSError: the file of kept tensors cannot be written.
        """
        chain = Chain(self.model, self.config.source, self.shortcut)
        targets_of = by_layer(self.model, self.targets)
        lowest, sums = min(targets_of), Sums(self.accumulate, self.config.score)
        last = list(sets)[-1:]
        entries = [Entry(name, batch) for name, examples in sets.items() for batch in self._batches(examples)]
        point = self._point(entries, max(targets_of), lowest)
        top = point.layer - 1 if point else len(chain) - 1
        progress = _Progress(self.config.pace, entries, advance)
        progress.expect(0 if point else len(chain), top + 1 - lowest)
        try:
            with Store(self.config.budget) as store:
                passes = Passes(chain, store, lowest, self.config.journal)
                if point:
                    passes.resume(entries, point)
                else:
                    passes.forwards(entries, progress.forward, progress.end)
                for layer in in_turn(self.config.source, range(top, lowest - 1, -1)):
                    passes.enter(layer)
                    targets = targets_of.get(layer, ())
                    for set_name in sets:
                        sums.start(targets, set_name)
                        for number, entry in enumerate(entries):
                            if entry.set_name == set_name:
                                passes.backwards(layer, number, targets, partial(sums.add, entry.batch))
                                progress.backward(entry.batch)
                        sums.check()
                        if [set_name] == last:
                            sums.check_called()
                        yield from sums.finish(keep)
                    passes.leave(layer)
        except torch.OutOfMemoryError as error:
            raise DeviceOutOfMemory(device=self.model.device, why="scoring needs more") from error

    def _point(self, entries: Sequence[Entry], highest: int, lowest: int) -> Point | None:
        """The point in the journal from which this scoring can continue."""
        shapes = [entry.batch.ids.shape for entry in entries]
        journal = self.config.journal
        return journal.latest(highest, lowest, shapes, self.model.device) if journal else None

    def _batches(self, examples: Sequence[Example]) -> Iterator[Batch]:
        return batches_for(examples, self.accumulate, self.config.tokens_per_batch, self.model.device)


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
        """Plan a number of layers in each direction, and the head if the forward passes are still to be made."""
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
