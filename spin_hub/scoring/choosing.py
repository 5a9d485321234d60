"""The choice of the engine: layerwise where it is right for the model, else whole."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from transformers import PreTrainedModel

from spin_hub.errors import NoTarget, UnsupportedModel
from spin_hub.models.layers import LayerSource, LoadedLayers, decoder_layers
from spin_hub.models.load import shrunk
from spin_hub.recipe import Accumulate
from spin_hub.scoring.check import Agreement, check_layerwise
from spin_hub.scoring.engine import Engine, EngineConfig
from spin_hub.scoring.layerwise import LayerwiseEngine
from spin_hub.scoring.targets import Target, find_targets
from spin_hub.scoring.whole import WholeEngine


@dataclass(frozen=True, eq=False)
class Choice:
    """An engine, and a note on why it is not the layerwise one, or None."""

    engine: Engine
    note: str | None = None


def make_engine(
    asked: str,
    model: PreTrainedModel,
    targets: Sequence[Target],
    accumulate: Accumulate,
    config: EngineConfig | None = None,
) -> Choice:
    """The engine for a model.

    Args:
        asked: ``auto``, ``layerwise`` or ``whole``.
        model: in eval mode, its parameters without gradients.
        targets: of this model.
        accumulate: ``float32`` or ``model``.
        config: of the engine; None if the whole model is loaded and memory is not limited.

    Raises:
        UnsupportedModel: neither engine is right for the model, or the one asked for is not.
        NotFinite: the model has no finite loss on a plain example.
    """
    config = config or EngineConfig()
    if asked == "whole":
        return Choice(_whole(model, targets, accumulate, config))
    for shortcut in (True, False):
        agreement = _agreement(model, targets, config.source, shortcut)
        if agreement.holds:
            return Choice(LayerwiseEngine(model, targets, accumulate, config, shortcut))
    if asked == "layerwise" or not config.source.runnable:
        raise UnsupportedModel(what=f"{type(model).__name__} with --engine layerwise", why=agreement.sentence)
    return Choice(_whole(model, targets, accumulate, config), f"The engine is whole: {agreement.sentence}.")


def _whole(model: PreTrainedModel, targets: Sequence[Target], accumulate: Accumulate, config: EngineConfig) -> Engine:
    if not config.source.runnable:
        raise UnsupportedModel(what=type(model).__name__, why="the whole engine needs all layers' weights at once")
    return WholeEngine(model, targets, accumulate, config.tokens_per_batch, config.score)


def _agreement(model: PreTrainedModel, targets: Sequence[Target], source: LayerSource, shortcut: bool) -> Agreement:
    """On the model itself where it can be run as a whole, else on a small random one of its architecture."""
    if source.all_present:
        return check_layerwise(model, targets, source, shortcut)
    small = shrunk(model)
    return check_layerwise(small, _counterparts(model, targets, small), LoadedLayers(), shortcut)


def _counterparts(model: PreTrainedModel, targets: Sequence[Target], small: PreTrainedModel) -> list[Target]:
    """The targets of all layers of a small model that have a name within the layer in common with some of a model's."""
    prefix, _ = decoder_layers(model)
    within = {target.parameter.removeprefix(f"{prefix}.").partition(".")[2] for target in targets}
    found: list[Target] = []
    for name in sorted(within):
        with suppress(NoTarget):
            found += find_targets(small, f"{prefix}.*.{name}")
    return found
