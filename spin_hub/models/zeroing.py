"""Weights set to zero in a loaded model, to be put back exactly."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from spin_hub.core.selection import Indices, Selection
from spin_hub.models.parameters import place

Shape = tuple[int, ...]


@contextmanager
def switched(model: Any, selection: Selection) -> Iterator[None]:
    """Sets the selected weights to zero, all bits of them, until the block ends; then the exact bits are back.

    Nothing is changed where any parameter is refused. Blocks may be nested, with overlapping selections too.

    Args:
        model: a loaded module, on any device.
        selection: flat row-major positions by the names of ``model.named_parameters()``.

    Raises:
        NotEditable: a parameter that the model lacks, that does not hold the positions, or in which no single
            element can be set.
    """
    with zeroed(model, selection):
        yield


def zeroed(model: nn.Module, selection: Selection, shapes: Mapping[str, Shape] = MappingProxyType({})) -> ExitStack:
    """Sets the selected weights to zero; closing the stack puts their values back.

    They are looked up by name again then, so the model may be moved, converted or offloaded in between.

    Args:
        model: a loaded module.
        selection: by the names of ``model.named_parameters()``.
        shapes: which the parameters must have.

    Raises:
        NotEditable: as :func:`switched`; from closing, where a parameter has gone: the others are back.
    """
    places = [(name, indices, place(model, name, indices, shapes.get(name))) for name, indices in selection]
    # Two names may stand for one tied tensor: the first to be saved is the last to be put back.
    with ExitStack() as stack:
        for name, indices, where in places:
            values = where.take()
            stack.callback(_put, model, name, indices, values)
            where.put(torch.zeros_like(values))
        return stack.pop_all()


def _put(model: nn.Module, name: str, indices: Indices, values: Tensor) -> None:
    place(model, name, indices).put(values)
