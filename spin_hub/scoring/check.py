"""A check that scoring layer by layer gives the gradients of the whole model.

It does where decoder layers touch each other only through the hidden state. gemma3n's share keys and values past
it, which nothing announces: its gradients would be wrong by 0.91 relative. So one short example goes both ways.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from transformers import PreTrainedModel

from spin_hub.data.examples import IGNORE, Example
from spin_hub.errors import UnsupportedModel
from spin_hub.models.batches import Batch, one_by_one
from spin_hub.models.layers import LayerSource, in_turn
from spin_hub.models.load import MODEL_ERRORS
from spin_hub.scoring.chain import Chain
from spin_hub.scoring.hooks import OnGradient
from spin_hub.scoring.layerwise import Entry, Passes
from spin_hub.scoring.store import Store
from spin_hub.scoring.targets import Target, by_layer
from spin_hub.scoring.whole import differentiate

TOLERANCE: Final = 1e-3
"""How far a target's input or output gradient may be off, relative in the Frobenius norm, in float32 or better.

Both ways do the same operations: a CPU gives the same bits, and a device that adds in no fixed order is off by
rounding, 1e-6. A leak between layers shows as 0.1 and more.
"""

TOLERANCE_OF_HALF: Final = 0.03
"""The same in half precision, whose rounding is 4e-3 an operation."""

_TOKENS: Final = 16


@dataclass(frozen=True)
class Agreement:
    """The result of the check.

    Attributes:
        error: the largest relative difference of a target's input or output gradient.
        parameter: the target that has it.
        tolerance: how large it may be.
        refusal: why the model cannot be taken layer by layer at all; None if it can.
    """

    error: float = 0.0
    parameter: str = ""
    tolerance: float = TOLERANCE
    refusal: str | None = None

    @property
    def holds(self) -> bool:
        """True if the layerwise engine is right for this model."""
        return self.refusal is None and self.error <= self.tolerance

    @property
    def sentence(self) -> str:
        """The reason for refusing the layerwise engine, as the end of a sentence."""
        if self.refusal is not None:
            return self.refusal
        return f"taken layer by layer, {self.parameter} has another gradient (off by {self.error:.2g} of its norm)"


def check_layerwise(
    model: PreTrainedModel, targets: Sequence[Target], source: LayerSource, shortcut: bool = False
) -> Agreement:
    """Take one short example through a model both ways and compare every target's input and output gradient.

    It needs the memory of that example's inputs and gradients, and no sums.

    Args:
        model: all its layers present, with its own or random weights.
        targets: of this model.
        source: of the model's layers.
        shortcut: as the layerwise engine would take it.

    Raises:
        NotFinite: the loss is not finite.
        UnsupportedModel: the whole engine cannot score the model either.
    """
    batch = next(one_by_one([short_example(int(model.config.get_text_config().vocab_size))])).to(model.device)
    whole = _caught(lambda catch: differentiate(model, targets, batch, "self-check", catch))
    try:
        layerwise = _caught(lambda catch: _differentiate(Chain(model, source, shortcut), targets, batch, catch))
    except UnsupportedModel as error:
        return Agreement(refusal=str(error.facts["why"]))
    except torch.OutOfMemoryError:
        raise
    except MODEL_ERRORS as error:
        # The whole model has just taken the same example, so the layer lacks something that the model passes to it.
        return Agreement(refusal=f"a decoder layer run by itself fails with {type(error).__name__}")
    worst = [(_difference(whole[name], layerwise.get(name)), name) for name in whole]
    largest, parameter = max(worst)
    return Agreement(largest, parameter, TOLERANCE if model.dtype.itemsize >= 4 else TOLERANCE_OF_HALF)


def short_example(vocabulary: int) -> Example:
    """Tokens from all over a vocabulary but its ends, where special ones are; the second half of them counts."""
    ids = torch.arange(1, _TOKENS + 1) * max(1, vocabulary // (_TOKENS + 2)) % vocabulary
    labels = ids.clone()
    labels[: _TOKENS // 2] = IGNORE
    return Example(ids, labels, 0)


Caught = dict[str, tuple[Tensor, Tensor]]


def _caught(run: Callable[[OnGradient], None]) -> Caught:
    found: Caught = {}

    def catch(target: Target, delta: Tensor, inputs: Tensor) -> None:
        found[target.parameter] = (delta, inputs)

    run(catch)
    return found


def _differentiate(chain: Chain, targets: Sequence[Target], batch: Batch, catch: OnGradient) -> None:
    targets_of = by_layer(chain.model, targets)
    lowest = min(targets_of)
    with Store() as store:
        passes = Passes(chain, store, lowest)
        passes.forwards([Entry("self-check", batch)], lambda _: None, lambda _: None)
        for layer in in_turn(chain.source, range(len(chain) - 1, lowest - 1, -1)):
            passes.backwards(layer, 0, targets_of.get(layer, ()), catch)


def _difference(expected: tuple[Tensor, Tensor], found: tuple[Tensor, Tensor] | None) -> float:
    if found is None:
        return float("inf")
    return max(_relative(left.float(), right.float()) for left, right in zip(expected, found, strict=True))


def _relative(expected: Tensor, found: Tensor) -> float:
    scale = float(expected.norm())
    off = float((expected - found).norm())
    # NaN on either side is no agreement.
    return (off / scale if scale else off) if off < float("inf") else float("inf")
