"""The passes of batches through a chain of decoder layers: forwards once, then backwards layer by layer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spin_hub.models.batches import Batch
from spin_hub.models.layers import in_turn
from spin_hub.scoring.activation_cache import Journal, Point
from spin_hub.scoring.chain import Call, Chain
from spin_hub.scoring.hooks import GradientCapture, OnGradient
from spin_hub.scoring.store import Store
from spin_hub.scoring.targets import Target


@dataclass(frozen=True, eq=False)
class Entry:
    """A batch, on the model's device, and the set that it belongs to."""

    set_name: str
    batch: Batch


class Passes:
    """Batches on their way through a chain.

    After :meth:`forwards` the store holds the input of every layer from the lowest one that counts, and the loss's
    gradient at the last layer's output; :meth:`backwards` gives up a layer's input and replaces the gradient by that
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
        """Takes all batches to the last layer's output and differentiates what comes behind it.

        Args:
            entries: the batches.
            after: called after every layer with the batch that has passed it.
            ended: called with every batch that has been through the head and back.

        Raises:
            NotFinite: the loss of an example is no finite number.
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
        """Takes the place of :meth:`forwards` where the journal knows what is needed."""
        for _ in self._starts(entries):
            pass
        for number, gradient in enumerate(point.gradients):
            self._store.put(("gradient", number), gradient)

    def enter(self, layer: int) -> None:
        """To be called before a layer is gone through backwards."""
        if self._journal:
            for number, hidden in enumerate(self._journal.inputs(layer, self._chain.model.device)):
                self._store.put((layer, number), hidden)

    def leave(self, layer: int) -> None:
        """To be called once all batches have been through a layer backwards and its matrices are finished."""
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
        """Runs a layer once more for a batch, and differentiates it. The layer must be present.

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
