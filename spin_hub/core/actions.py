"""The table ACTIONS of what an edit does to a selected weight."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Action:
    """One entry of the table.

    Attributes:
        kind: its name, as in the ``operation`` of a delta file.
        sentence: a noun phrase for the result.
        write: gives the bytes to write for the original ones, both uint8, shape (n, itemsize).
    """

    kind: str
    sentence: str
    write: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

    @property
    def operation(self) -> dict[str, Any]:
        """The action as a delta file records it, such as ``{"kind": "zero"}``."""
        return {"kind": self.kind}


# Every bit 0 is +0 in every float type.
ZERO: Final = Action("zero", "zeros", np.zeros_like)

ACTIONS: Final[Mapping[str, Action]] = {ZERO.kind: ZERO}


def action_of(operation: Any) -> Action | None:
    """Return the action that a delta file's ``operation`` names; None if there is none of this form."""
    return next((action for action in ACTIONS.values() if action.operation == operation), None)
