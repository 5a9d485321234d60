"""score: a model and calibration sets become a ranking."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spin_hub.checkpoint.coordinates import check_identity
from spin_hub.core.names import layer_and_matrix
from spin_hub.core.ranking import RankedTensor, Ranking, TopWeights
from spin_hub.errors import PartialDiffers, RatioOutOfRange
from spin_hub.files.output import Placed, existing_folder, new_file
from spin_hub.files.ranking_file import NAME as RANKING
from spin_hub.files.ranking_file import RankingFile, write_ranking
from spin_hub.hub.resolve import hub_cache
from spin_hub.recipe import BY_DEFAULT, DEFAULT_KEEP, Destination, ScoringRecipe
from spin_hub.scoring.choosing import Means, make_engine
from spin_hub.scoring.engine import ScoredMatrix
from spin_hub.scoring.holding import Holding, hold
from spin_hub.scoring.layers import LayerSource, LoadedLayers
from spin_hub.scoring.loading import load_model
from spin_hub.scoring.targets import find_targets
from spin_hub.workflows.base import Base, open_base
from spin_hub.workflows.partial import Partial
from spin_hub.workflows.prepare import Prepared, prepare
from spin_hub.workflows.reporter import SILENT, Reporter


@dataclass(frozen=True)
class ScoreOutcome:
    """A written ranking: its path, its content, and what scoring took."""

    output: Path
    content: RankingFile
    seconds: float


@dataclass(frozen=True)
class Job:
    """One scoring: what its result is written to, the ratio up to which weights are kept, and a limit in bytes."""

    output: Path
    keep: float
    max_memory: int | None = None


@dataclass(frozen=True, eq=False)
class Scored:
    """A ranking, and the model that it was made with.

    Attributes:
        whole: whether all the model's weights are there, so that it can be run.
        partial: the finished layers beside the output, to be removed once that is written.
    """

    content: RankingFile
    model: Any
    whole: bool
    partial: Partial


def score(
    model: str,
    recipe: ScoringRecipe,
    destination: Destination = BY_DEFAULT,
    keep: float = DEFAULT_KEEP,
    reporter: Reporter = SILENT,
) -> ScoreOutcome:
    """Scores a model and writes its ranking, from which ``select`` needs no model.

    Args:
        model: a folder or Hub id.
        recipe: how importance is measured.
        destination: the ranking's file; ``spin_ranking.safetensors`` by default.
        keep: the ratio up to which weights are kept.
        reporter: told of progress.

    Raises:
        SpinHubError: anything wrong with the model, the sets or the output.
    """
    if not 0 < keep < 1:
        raise RatioOutOfRange(name="keep", value=keep)
    base = open_base(model)
    target = Placed.of(destination, RANKING)
    target.check((base.source.folder, hub_cache()))
    started = time.monotonic()
    scored = score_prepared(prepare(base, recipe, reporter), Job(target.path, keep, recipe.max_memory), reporter)
    with new_file(target.path) as path:
        write_ranking(path, scored.content)
    scored.partial.remove()
    return ScoreOutcome(target.path, scored.content, time.monotonic() - started)


def score_prepared(prepared: Prepared, job: Job, reporter: Reporter) -> Scored:
    """Loads the model and scores it: the heart of ``score`` and ``edit``.

    Layers that an earlier run of the same scoring has finished are taken from beside the output.

    Raises:
        MemoryTooSmall: the model does not fit into the limit.
        PartialDiffers: finished layers of another scoring lie beside the output.
        SpinHubError: the model cannot be loaded or scored.
    """
    base, recipe = prepared.base, prepared.record.recipe
    layered = replace(prepared.record, recipe=replace(recipe, engine="layerwise"))
    partial = Partial.beside(job.output, prepared.model, layered, job.keep)
    tensors = partial.finished() if recipe.engine != "whole" else {}
    holding = hold(prepared.demand, recipe.engine, job.max_memory, existing_folder(job.output.absolute().parent))
    with reporter.task("Loading the model", 1, "step") as advance:
        model, source = _load(prepared, holding)
        advance(1)
    targets = find_targets(model, recipe.target)
    if source.all_present:
        for target in targets:
            check_identity(base.index, target.parameter, target.weight)
    left = [target for target in targets if target.parameter not in tensors]
    if tensors:
        reporter.note(f"{len(tensors)} of {len(targets)} matrices were scored before; going on with the others.")
    choice = make_engine(recipe.engine, model, left or targets, recipe.accumulate, Means(source, holding.room))
    if choice.note:
        reporter.note(choice.note)
    by_layer = choice.engine.name == "layerwise"
    if tensors and not by_layer:
        raise PartialDiffers(path=partial.folder, what="the engine")
    if left:
        with reporter.task("Scoring", sum(map(len, prepared.demand.examples)), "tokens") as advance:
            matrices = choice.engine.score(prepared.examples, job.keep, advance)
            for finished in _finished(base, matrices, by_layer):
                tensors |= finished
                if by_layer and len(tensors) < len(targets):
                    partial.add(finished)
    record = layered if by_layer else replace(prepared.record, recipe=replace(recipe, engine="whole"))
    ranking = Ranking(dict(sorted(tensors.items())), job.keep)
    return Scored(RankingFile(ranking, prepared.model, record), model, source.all_present, partial)


def _load(prepared: Prepared, holding: Holding) -> tuple[Any, LayerSource]:
    """The model, and where its layers' weights come from."""
    index, demand = prepared.base.index, prepared.demand
    trust = prepared.record.recipe.trust_remote_code
    if holding.weights != "shards":
        return load_model(index, demand.where, trust), LoadedLayers()
    from spin_hub.scoring.shards import ShardLayers, hollow_map

    model = load_model(index, demand.where, trust, hollow_map(demand.skeleton, demand.where.device))
    return model, ShardLayers(model, index, demand.where)


def _finished(base: Base, matrices: Iterable[ScoredMatrix], by_layer: bool) -> Iterator[dict[str, RankedTensor]]:
    """The matrices with the base's values: those of a layer together, or all of them at the end."""
    tops: dict[str, dict[str, TopWeights]] = {}
    layer = None
    for matrix in matrices:
        current = layer_and_matrix(matrix.parameter)[0]
        if by_layer and tops and current != layer:
            yield _ranked(base, tops)
            tops = {}
        layer = current
        original = base.index.raw(matrix.parameter, matrix.indices)
        tops.setdefault(matrix.parameter, {})[matrix.set_name] = TopWeights(matrix.indices, matrix.importance, original)
    yield _ranked(base, tops)


def _ranked(base: Base, tops: Mapping[str, Mapping[str, TopWeights]]) -> dict[str, RankedTensor]:
    spans: Mapping[str, Any] = {name: base.index.tensors[name].span for name in tops}
    return {name: RankedTensor(spans[name].shape, spans[name].dtype, dict(tops[name])) for name in tops}
