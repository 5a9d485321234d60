"""Which engine scores a model: layerwise where it is right, else whole."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from transformers import PreTrainedModel

from spin_hub.errors import NoTarget, UnsupportedModel
from spin_hub.models.layers import LayerSource, LoadedLayers, decoder_layers
from spin_hub.models.shrunk import shrunk
from spin_hub.recipe import Accumulate
from spin_hub.scoring.check import Agreement, check_layerwise
from spin_hub.scoring.engine import Engine
from spin_hub.scoring.layerwise import LayerwiseEngine, Pace
from spin_hub.scoring.resume import Journal
from spin_hub.scoring.store import EVERYTHING_IN_MEMORY, Room
from spin_hub.scoring.targets import Target, find_targets
from spin_hub.scoring.whole import WholeEngine


@dataclass(frozen=True)
class Means:
    """What an engine works with.

    Attributes:
        source: where layers' weights come from.
        room: where the layerwise engine may keep layers' inputs.
        tokens_per_batch: padded tokens that a batch may have; None takes what suits the device.
        journal: of the layerwise engine, for a run that goes on later.
        pace: what the parts of the layerwise engine's work take beside each other.
    """

    source: LayerSource = field(default_factory=LoadedLayers)
    room: Room = EVERYTHING_IN_MEMORY
    tokens_per_batch: int | None = None
    journal: Journal | None = None
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, eq=False)
class Choice:
    """An engine, and where it is not the layerwise one although nobody asked for another, why: else None."""

    engine: Engine
    note: str | None = None


def make_engine(
    asked: str, model: PreTrainedModel, targets: Sequence[Target], accumulate: Accumulate, means: Means | None = None
) -> Choice:
    """The engine for a model.

    Args:
        asked: ``auto``, ``layerwise`` or ``whole``.
        model: in eval mode, its parameters without gradients.
        targets: of this model.
        accumulate: ``float32`` or ``model``.
        means: of the layerwise engine; None where the model is loaded whole and memory is no question.

    Raises:
        UnsupportedModel: neither engine is right for the model, or the one asked for is not.
        NotFinite: the model has no finite loss on a plain example.
    """
    means = means or Means()
    if asked == "whole":
        return Choice(_whole(model, targets, accumulate, means))
    for shortcut in (True, False):
        agreement = _agreement(model, targets, means.source, shortcut)
        if agreement.holds:
            engine = LayerwiseEngine(
                model,
                targets,
                accumulate,
                means.source,
                means.room,
                shortcut,
                means.tokens_per_batch,
                means.journal,
                means.pace,
            )
            return Choice(engine)
    if asked == "layerwise" or not means.source.runnable:
        raise UnsupportedModel(what=f"{type(model).__name__} with --engine layerwise", why=agreement.sentence)
    return Choice(_whole(model, targets, accumulate, means), f"The engine is whole: {agreement.sentence}.")


def _whole(model: PreTrainedModel, targets: Sequence[Target], accumulate: Accumulate, means: Means) -> Engine:
    if not means.source.runnable:
        raise UnsupportedModel(what=type(model).__name__, why="the whole engine needs all layers' weights at once")
    return WholeEngine(model, targets, accumulate, means.tokens_per_batch)


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
