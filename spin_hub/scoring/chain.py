"""A model as a chain of decoder layers that can be run one at a time, with the arguments of its own forward pass."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spin_hub.errors import UnsupportedModel
from spin_hub.models.batches import Batch
from spin_hub.models.forward import FastAttention, ResponseLogits
from spin_hub.models.layers import LayerSource, decoder_layers
from spin_hub.scoring.hooks import backward_from_loss, last_map, without_value

_HIDDEN: Final = "hidden_states"

_LOGITS: Final = {True: 1 << 23, False: 1 << 28}
"""Logits that are computed at once, on a CPU and elsewhere; a CPU is slow at getting memory for more."""


@dataclass(frozen=True, eq=False)
class Call:
    """The arguments of a layer besides its hidden state.

    Masks and rotary tables are the same objects in the calls of all layers of a batch, so they are kept once.

    Attributes:
        positional: the arguments behind the hidden state.
        named: the keyword arguments without the hidden state.
        by_name: the hidden state is given by its name too.
    """

    positional: tuple[Any, ...]
    named: Mapping[str, Any]
    by_name: bool

    def of(self, layer: Callable[..., Any], hidden: Tensor) -> Any:
        """The layer's own output for a hidden state."""
        if self.by_name:
            return layer(**{_HIDDEN: hidden}, **self.named)
        return layer(hidden, *self.positional, **self.named)


@dataclass(frozen=True, eq=False)
class Start:
    """A batch before the first layer: its hidden state, and the call of every layer."""

    hidden: Tensor
    calls: Sequence[Call]


class Chain:
    """The decoder layers of a model.

    The model's own forward is run with the layers put out of action: they hand their hidden state on. So its
    embedding, masks, rotary tables, norms and head are right for every architecture whose layers touch each other
    only through the hidden state. :mod:`spin_hub.scoring.choosing` finds out whether a model's do.

    Args:
        model: in eval mode, its parameters without gradients.
        source: of its layers.
        shortcut: whether :meth:`differentiable` may leave the value of a layer's last linear map out.

    Raises:
        UnsupportedModel: the decoder layers cannot be found.
    """

    def __init__(self, model: PreTrainedModel, source: LayerSource, shortcut: bool = False) -> None:
        self.model = model
        self.prefix, self.layers = decoder_layers(model)
        self.source = source
        self._first = self.layers[0].forward
        self._rest: tuple[Any, ...] | None = None
        self._known = False
        self._shortcut = shortcut
        self._last: str | None = None

    def __len__(self) -> int:
        return len(self.layers)

    @torch.no_grad()
    def start(self, batch: Batch) -> Start:
        """Run what comes before the layers.

        Raises:
            UnsupportedModel: the model uses its layers in another way than one after the other.
        """
        hidden: list[Tensor] = []
        calls: list[Call] = []

        def handed_on(number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            value, call = _taken_apart(args, kwargs)
            if number != len(calls) or (hidden and value is not hidden[-1]):
                self._refuse("it does more between its decoder layers than hand the hidden state on")
            if not self._known:
                self._learn(value, call)
            hidden.append(value)
            calls.append(call)
            return self._as_output(value)

        # Only what comes before the layers is wanted, so the head is given one token.
        with self._replaced(handed_on), ResponseLogits(self.model, _counted(batch, slice(1))):
            self.model(input_ids=batch.ids, use_cache=False)
        if len(calls) != len(self):
            self._refuse("it leaves out some of its decoder layers")
        return Start(hidden[0], calls)

    def run(self, number: int, hidden: Tensor, call: Call) -> Tensor:
        """One layer's output hidden state; the layer must be present. It works on a copy of ``hidden``."""
        with FastAttention():
            output = call.of(self.layers[number], hidden.clone())
        result = output[0] if isinstance(output, tuple) else output
        assert isinstance(result, Tensor)
        return result

    def differentiable(self, number: int, hidden: Tensor, call: Call) -> Tensor:
        """A layer's output with its graph, for gradients only: the value itself may be wrong."""
        with torch.enable_grad(), without_value(self.layers[number], self._last):
            return self.run(number, hidden, call)

    def end(self, batch: Batch, hidden: Tensor, set_name: str) -> Tensor:
        """Run what comes after the layers: the loss's gradient at the last layer's output.

        Args:
            batch: B examples of at most T tokens.
            hidden: the last layer's output, shape (B, T, features).
            set_name: for the error.

        Raises:
            NotFinite: the loss of an example is not finite.
        """
        leaf = hidden.detach().requires_grad_()
        tokens = max(1, _LOGITS[hidden.device.type == "cpu"] // self.model.config.get_text_config().vocab_size)

        def handed_on(number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            last = number == len(self) - 1
            return self._as_output(leaf.clone() if last else _taken_apart(args, kwargs)[0])

        with self._replaced(handed_on):
            for first in range(0, len(batch.owner), tokens):
                backward_from_loss(self.model, _counted(batch, slice(first, first + tokens)), set_name)
        assert leaf.grad is not None
        return leaf.grad

    def _learn(self, hidden: Tensor, call: Call) -> None:
        """Find out by running the first layer whether it returns a tensor or a tuple, and what it does last."""
        found: list[Any] = []
        with self.source.present(0):
            last = last_map(self.layers[0], lambda: found.append(call.of(self._first, hidden.clone())))
        self._rest = tuple(found[0][1:]) if isinstance(found[0], tuple) else None
        self._last = last if self._shortcut else None
        self._known = True

    def _as_output(self, hidden: Tensor) -> Any:
        return hidden if self._rest is None else (hidden, *self._rest)

    @contextmanager
    def _replaced(self, forward: Callable[[int, tuple[Any, ...], dict[str, Any]], Any]) -> Iterator[None]:
        """Within the block every layer's forward is this one, which also receives the layer's number."""
        before = [vars(layer).get("forward") for layer in self.layers]
        try:
            for number, layer in enumerate(self.layers):
                vars(layer)["forward"] = lambda *args, _number=number, **kwargs: forward(_number, args, kwargs)
            yield
        finally:
            for layer, own in zip(self.layers, before, strict=True):
                _restore(layer, own)

    def _refuse(self, why: str) -> None:
        raise UnsupportedModel(what=type(self.model).__name__, why=why)


def _counted(batch: Batch, part: slice) -> Batch:
    """The batch with only a part of its counted tokens."""
    names = ("owner", "place", "labels", "share")
    return replace(batch, **{name: getattr(batch, name)[part] for name in names})


def _taken_apart(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, Call]:
    if args:
        return args[0], Call(args[1:], kwargs, by_name=False)
    rest = {name: value for name, value in kwargs.items() if name != _HIDDEN}
    return kwargs[_HIDDEN], Call((), rest, by_name=True)


def _restore(layer: nn.Module, own: Any) -> None:
    if own is None:
        vars(layer).pop("forward", None)
    else:
        vars(layer)["forward"] = own
