"""Where a decoder layer's weights are while it is not used."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class LayerSource(Protocol):
    """Brings the weights of decoder layers in and drops them."""

    def present(self, number: int, following: int | None = None) -> AbstractContextManager[None]:
        """Within the block, a layer has its weights on the model's device.

        Args:
            number: of the layer, counted from 0.
            following: of the layer that is likely to be asked for next, to be fetched meanwhile.
        """
        ...

    @property
    def all_present(self) -> bool:
        """Whether every layer has its weights all the time, so that the whole model can be differentiated."""
        ...

    @property
    def runnable(self) -> bool:
        """Whether the model can be run forwards as a whole."""
        ...


class LoadedLayers:
    """The layers of a model that is loaded whole: there is nothing to do."""

    all_present = True
    runnable = True

    @contextmanager
    def present(self, number: int, following: int | None = None) -> Iterator[None]:
        """See :class:`LayerSource`."""
        yield


def in_turn(source: LayerSource, numbers: Sequence[int]) -> Iterator[int]:
    """Layers in an order, each present while it is the current one, the next one fetched meanwhile."""
    for number, following in zip(numbers, [*numbers[1:], None], strict=True):
        with source.present(number, following):
            yield number
