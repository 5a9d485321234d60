"""The decoder layers of a model, and where their weights are while they are not used."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol

from torch import nn
from transformers import PreTrainedModel

from spin_hub.errors import UnsupportedModel

_CUSTOMARY: Final = ("layers", "h", "blocks", "block")


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
        """True if every layer has its weights all the time, so that the whole model can be differentiated."""
        ...

    @property
    def runnable(self) -> bool:
        """True if the model can be run forwards as a whole."""
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


def decoder_layers(model: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """The model's list of decoder layers and its name, such as ``model.layers``.

    Raises:
        UnsupportedModel: there is no list of as many modules as the config has layers.
    """
    depth = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth
    ]
    customary = [entry for entry in lists if entry[0].rpartition(".")[2] in _CUSTOMARY]
    for entry in customary or lists:
        return entry
    raise UnsupportedModel(what=type(model).__name__, why="its decoder layers cannot be found")
