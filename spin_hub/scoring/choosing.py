"""The choice of the engine: layerwise where a check shows that it is right for the model, else whole.

Scoring layer by layer gives the gradients of the whole model where decoder layers touch each other only through the
hidden state. gemma3n's share keys and values past it, which nothing announces: its gradients would be wrong by 0.91
relative. So one short example goes both ways.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from transformers import PreTrainedModel

from spin_hub.data.examples import IGNORE, Example
from spin_hub.errors import NoTarget, NotFinite, UnsupportedModel
from spin_hub.models.batches import Batch, one_by_one
from spin_hub.models.causal import check_is_causal
from spin_hub.models.layers import LayerSource, LoadedLayers, decoder_layers, in_turn
from spin_hub.models.load import MODEL_ERRORS, shrunk
from spin_hub.recipe import Accumulate
from spin_hub.scoring.chain import Chain
from spin_hub.scoring.engine import Engine, EngineConfig
from spin_hub.scoring.hooks import OnGradient
from spin_hub.scoring.layerwise import Entry, LayerwiseEngine, Passes
from spin_hub.scoring.store import Store
from spin_hub.scoring.targets import Target, by_layer, find_targets
from spin_hub.scoring.whole import WholeEngine, differentiate


@dataclass(frozen=True, eq=False)
class Choice:
    """An engine, and a note on why it is not the layerwise one, or None."""

    engine: Engine
    note: str | None = None


TOLERANCE: Final = 1e-3
"""The largest error of a target's input or output gradient, relative in the Frobenius norm, in float32 or better.

Both ways do the same operations: on a CPU the bits are equal, and a device that adds in no fixed order is off by
rounding, 1e-6. A leak between layers shows as 0.1 and more.
"""

TOLERANCE_OF_HALF: Final = 0.03
"""The tolerance in half precision, whose rounding is 4e-3 an operation."""

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


def make_engine(
    asked: str,
    model: PreTrainedModel,
    targets: Sequence[Target],
    accumulate: Accumulate,
    config: EngineConfig | None = None,
) -> Choice:
    """Choose the engine for a model.

    Args:
        asked: ``auto``, ``layerwise`` or ``whole``.
        model: in eval mode, its parameters without gradients.
        targets: of this model.
        accumulate: ``float32`` or ``model``.
        config: of the engine; None if the whole model is loaded and memory is not limited.

    Raises:
        UnsupportedModel: neither engine is right for the model, or the one asked for is not.
        NotCausal: a later token changes what the model predicts before it.
        NotFinite: the model has no finite loss on a plain example.
    """
    config = config or EngineConfig()
    if asked == "whole":
        engine = _whole(model, targets, accumulate, config)
        check_is_causal(model)
        return Choice(engine)
    # Where the model cannot be differentiated as a whole, a small random one of its architecture shows what it does.
    small = None if config.source.all_present else shrunk(model)
    check_is_causal(small or model)
    for shortcut in (True, False):
        if small is None:
            agreement = check_layerwise(model, targets, config.source, shortcut)
        else:
            agreement = check_layerwise(small, _counterparts(model, targets, small), LoadedLayers(), shortcut)
        if agreement.holds:
            return Choice(LayerwiseEngine(model, targets, accumulate, config, shortcut))
    if asked == "layerwise" or not config.source.runnable:
        raise UnsupportedModel(what=f"{type(model).__name__} with --engine layerwise", why=agreement.sentence)
    return Choice(_whole(model, targets, accumulate, config), f"The engine is whole: {agreement.sentence}.")


def _whole(model: PreTrainedModel, targets: Sequence[Target], accumulate: Accumulate, config: EngineConfig) -> Engine:
    if not config.source.runnable:
        raise UnsupportedModel(what=type(model).__name__, why="the whole engine needs all layers' weights at once")
    return WholeEngine(model, targets, accumulate, config.tokens_per_batch, config.score)


def _counterparts(model: PreTrainedModel, targets: Sequence[Target], small: PreTrainedModel) -> list[Target]:
    """The targets in any layer of a small model whose names within the layer are those of some of the model's."""
    prefix, layers = decoder_layers(model)
    chosen = {id(target.module) for target in targets}
    within = {name for layer in layers for name, module in layer.named_modules() if id(module) in chosen}
    found: list[Target] = []
    for name in sorted(within):
        with suppress(NoTarget):
            found += find_targets(small, f"{prefix}.*.{name}.weight")
    return found


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
    try:
        whole = _caught(lambda catch: differentiate(model, targets, batch, "self-check", catch))
    except NotFinite as error:
        hint = "Check the model's weights; if they are right, score with --dtype float32."
        raise NotFinite(hint=hint, what="The loss", where="for a short text with which the model is checked") from error
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
    worst = 0.0 if found else math.inf
    for one, other in zip(expected, found or (), strict=found is not None):
        scale, off = float(one.float().norm()), float((one.float() - other.float()).norm())
        # NaN on either side is not agreement.
        worst = max(worst, (off / scale if scale else off) if off < math.inf else math.inf)
    return worst
