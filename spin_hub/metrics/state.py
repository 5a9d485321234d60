"""A state of a model that is measured: some of its weights at zero, or another model in its place."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from spin_hub.core.selection import Selection
from spin_hub.evidence import BASE
from spin_hub.models.zeroing import switched


@dataclass(frozen=True, eq=False)
class Other:
    """Another model, loaded beside the base, and the weights of it that are zero."""

    model: Any
    selection: Selection


State: TypeAlias = Selection | Other
"""The weights of the base model that are zero, or another model."""


def beside_base(states: Mapping[str, State]) -> dict[str, State]:
    """The base as it is, and then the states: the order in which everything is measured."""
    return {BASE: Selection({}), **states}


@contextmanager
def turned(model: Any, state: State) -> Iterator[Any]:
    """The model that a state stands for, until the block ends; every model is then as it was, bit by bit.

    Args:
        model: the base, loaded, in eval mode.
        state: of it, or another model.

    Raises:
        UnsupportedModel: a selection that the model does not hold.
    """
    found, selection = (state.model, state.selection) if isinstance(state, Other) else (model, state)
    with switched(found, selection):
        yield found
