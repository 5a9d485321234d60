"""SPIN's importance, ``|W| * sum_i |dL_i/dW|`` (arXiv 2410.16672): a first-order Taylor term, example by example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spin_hub.recipe import DEFAULT_SCORE_SENTENCE
from spin_hub.scoring.scores import Passed

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Taylor:
    """See :class:`spin_hub.scoring.scores.Score`.

    For a linear map y = x W^T the gradient of one example is ``Delta^T X``, with X the map's input and Delta the
    loss's gradient at its output, one row a token; so no weight needs a gradient of its own.
    """

    name: str = "taylor"
    sentence: str = DEFAULT_SCORE_SENTENCE

    def accumulate(self, sums: Tensor, passed: Passed) -> None:
        """Add ``|dL_i/dW|`` of every example i."""
        from spin_hub.scoring.importance import add_absolute_products  # which imports PyTorch

        delta, inputs = passed.delta, passed.inputs
        left, right = (inputs, delta) if passed.transposed else (delta, inputs)
        add_absolute_products(sums, left, right, passed.segments)

    def finish(self, weight: Tensor, sums: Tensor) -> Tensor:
        """Multiply the sums by ``|W|``."""
        from spin_hub.scoring.importance import importance

        return importance(weight, sums)


TAYLOR: Final = Taylor()
