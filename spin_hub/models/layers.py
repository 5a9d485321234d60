"""The decoder layers of a model, and where their weights are while they are not used: in memory, or in the shards."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Literal, Protocol

import torch
from accelerate.hooks import remove_hook_from_submodules  # type: ignore[import-untyped]
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel

from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.errors import UnsupportedModel
from spin_hub.models.coordinates import coordinates
from spin_hub.models.device import Placement

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

    In a multimodal model it is that of the part that reads text: towers for images or sound have configs of their own.

    Raises:
        UnsupportedModel: there is no list of as many modules as the config has layers.
    """
    depth = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    lists = [
        (name, module)
        for name, module in text_modules(model)
        if isinstance(module, nn.ModuleList) and len(module) == depth
    ]
    customary = [entry for entry in lists if entry[0].rpartition(".")[2] in _CUSTOMARY]
    for entry in customary or lists:
        return entry
    raise UnsupportedModel(what=type(model).__name__, why="its decoder layers cannot be found")


def text_modules(model: PreTrainedModel) -> Iterator[tuple[str, nn.Module]]:
    """The modules that read text, and their names: all but those of towers, whose configs are of other types."""
    configs = (type(model.config), type(model.config.get_text_config()))
    others: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, PreTrainedModel) and not isinstance(module.config, configs):
            others.append(f"{name}.")
        if not f"{name}.".startswith(tuple(others)):
            yield name, module


def hollow_map(skeleton: PreTrainedModel, device: torch.device) -> dict[str, torch.device | Literal["disk"]]:
    """The ``device_map`` that loads a model with its decoder layers left on the disk and all else on a device.

    Args:
        skeleton: the model's modules without memory.
        device: for what is not a decoder layer.

    Raises:
        UnsupportedModel: the decoder layers cannot be found.
    """
    prefix, layers = decoder_layers(skeleton)
    placed: dict[str, torch.device | Literal["disk"]] = {f"{prefix}.{number}": "disk" for number in range(len(layers))}
    path = prefix.split(".")
    for depth in range(len(path)):
        parent = ".".join(path[:depth])
        for name, _ in skeleton.get_submodule(parent).named_children():
            if name != path[depth]:
                placed[f"{parent}.{name}".lstrip(".")] = device
    return placed


class ShardLayers:
    """Brings in a layer's weights from the shards, and the following layer's in a thread meanwhile.

    On a CPU in the checkpoint's own dtype this is not worth it: there transformers maps the shards into memory, which
    the kernel drops and reads again as it likes. It is for a device that the model does not fit on, or another dtype.

    Args:
        model: loaded with :func:`hollow_map`, without gradients. Its hooks for reading weights as a module is
            called are removed, since they would read a layer again for every batch.
        index: the checkpoint.
        where: the device and the dtype of the weights.

    Raises:
        UnsupportedModel: a layer's weight in memory is not one tensor of the checkpoint.
    """

    all_present = False
    runnable = False

    def __init__(self, model: PreTrainedModel, index: CheckpointIndex, where: Placement) -> None:
        remove_hook_from_submodules(model)
        self._prefix, self._layers = decoder_layers(model)
        self._index = index
        self._where = where
        self._hollow = [layer.state_dict() for layer in self._layers]
        self._pool = ThreadPoolExecutor(1, "weights")
        self._coming: tuple[int, Future[dict[str, Tensor]]] | None = None
        self._tensors = coordinates(model, index).tensors
        for number, state in enumerate(self._hollow):
            for name in state:
                full = f"{self._prefix}.{number}.{name}"
                if full not in self._tensors:
                    raise UnsupportedModel(what=f"The parameter {full}", why="it is not a tensor of the checkpoint")

    @contextmanager
    def present(self, number: int, following: int | None = None) -> Iterator[None]:
        """See :class:`LayerSource`."""
        layer = self._layers[number]
        layer.load_state_dict(self._fetched(number), assign=True)
        if following is not None and following != number:
            self._coming = following, self._pool.submit(self._read, following)
        try:
            yield
        finally:
            layer.load_state_dict(self._hollow[number], assign=True)

    def _fetched(self, number: int) -> dict[str, Tensor]:
        coming, self._coming = self._coming, None
        return coming[1].result() if coming and coming[0] == number else self._read(number)

    def _read(self, number: int) -> dict[str, Tensor]:
        """The state of a layer, on the device and in the dtype asked for."""
        found = {}
        for name in self._hollow[number]:
            stored = self._tensors[f"{self._prefix}.{number}.{name}"]
            with safe_open(self._index.folder / self._index.tensors[stored].shard, framework="pt") as shard:
                tensor = shard.get_tensor(stored)
            dtype = self._where.dtype if tensor.is_floating_point() else tensor.dtype
            found[name] = tensor.to(self._where.device, dtype)
        return found
