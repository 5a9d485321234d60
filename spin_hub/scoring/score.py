"""A scoring under way: the model loaded, an engine run, finished layers kept, a ranking made."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from spin_hub.artifacts.atomic import existing_folder, new_file
from spin_hub.artifacts.ranking_file import RankingFile, write_ranking
from spin_hub.core.names import layer_and_matrix
from spin_hub.core.ranking import RankedTensor, Ranking, TopWeights
from spin_hub.errors import DeviceOutOfMemory, PartialDiffers, SpinHubError
from spin_hub.models.batches import usual_tokens
from spin_hub.models.coordinates import check_identity
from spin_hub.models.device import free_memory, name_of
from spin_hub.models.layers import LayerSource, LoadedLayers, ShardLayers, hollow_map
from spin_hub.models.load import load_model
from spin_hub.models.widening import WidenedLayers, load_widened
from spin_hub.progress import Reporter, step
from spin_hub.scoring.choosing import make_engine
from spin_hub.scoring.engine import EngineConfig, Pace, ScoredMatrix
from spin_hub.scoring.estimate import Work, scoring_seconds
from spin_hub.scoring.inputs import ScoringInputs, targets_within
from spin_hub.scoring.memory import LIBRARIES, MemoryPlan, hold
from spin_hub.scoring.resume import Partial
from spin_hub.scoring.scores import score_named
from spin_hub.scoring.targets import Target
from spin_hub.units import about


@dataclass(frozen=True)
class Job:
    """One scoring.

    Attributes:
        output: what its result is written to.
        keep: the ratio up to which weights are kept.
        max_memory: a limit in bytes.
        resumable: whether layers' inputs are kept on disk, so that a run that goes on need not go forwards again.
        whole: whether the whole model is needed afterwards, to try edits out in it.
    """

    output: Path
    keep: float
    max_memory: int | None = None
    resumable: bool = False
    whole: bool = False


@dataclass(frozen=True, eq=False)
class Scored:
    """A ranking, and the model that it was made with.

    Attributes:
        source: of its layers' weights.
        partial: the finished layers beside the output, to be removed once that is written.
    """

    content: RankingFile
    model: Any
    source: LayerSource
    partial: Partial

    @property
    def whole(self) -> bool:
        """True if the model can be run as a whole."""
        return self.source.runnable

    @property
    def precision(self) -> str:
        """The precision in which it runs."""
        return self.content.scoring.recipe.dtype

    def write(self, path: Path, reporter: Reporter) -> None:
        """Write the ranking, in place of the finished layers."""
        with step(reporter, "Writing the ranking"), new_file(path) as file:
            write_ranking(file, self.content)
            # Before the file appears: the same command, run again after a kill in between, finds nothing to clean up.
            self.partial.remove()

    def settle(self, limit: int | None) -> None:
        """Widen weights for good that every pass would widen again, where the memory is there.

        Args:
            limit: bytes of this process; None takes what is free.
        """
        if isinstance(self.source, WidenedLayers):
            size = 4 * sum(parameter.numel() for parameter in self.model.parameters())
            free = free_memory(self.model.device) if limit is None else limit - LIBRARIES
            if free is None or size <= free:
                self.source.settle()


def score_prepared(prepared: ScoringInputs, job: Job, reporter: Reporter) -> Scored:
    """Load the model and score it: the heart of ``score`` and ``edit``.

    Layers that an earlier run of the same scoring has finished are taken from beside the output.

    Raises:
        MemoryTooSmall: the model does not fit into the limit.
        SpinHubError: the whole model is needed and does not fit.
        PartialDiffers: finished layers of another scoring lie beside the output.
        SpinHubError: the model cannot be loaded or scored.
    """
    base, recipe = prepared.base, prepared.record.recipe
    layered = replace(prepared.record, recipe=replace(recipe, engine="layerwise"))
    partial = Partial.beside(job.output, prepared.model, layered, job.keep)
    with step(reporter, "Reading the finished layers"):
        tensors = partial.finished() if recipe.engine != "whole" else {}
    holding = hold(prepared.demand, recipe.engine, job.max_memory, existing_folder(job.output.absolute().parent))
    _warn_of_time(prepared, holding, reporter)
    if job.whole and holding.weights == "shards":
        raise SpinHubError(
            f"The edits of {base.source.name} cannot be tried out: its weights do not fit into memory at once.",
            hint="Give --p and --q, and measure where the whole model fits into memory.",
        )
    with step(reporter, "Loading the model"):
        model, source = _load(prepared, holding)
    targets = targets_within(model, base.index, recipe.target, prepared.part)
    if source.runnable:
        with step(reporter, "Comparing the weights with the checkpoint"):
            for target in targets:
                check_identity(base.index, target.parameter, target.weight)
    if tensors:
        reporter.note(f"{len(tensors)} of {len(targets)} matrices were scored before; going on with the others.")
    run = _Run(prepared, job.keep, model, targets, partial, tensors)
    journal = partial.journal if job.resumable else None
    work = Work.of(prepared.demand)
    pace = Pace(work.forward, work.backward, work.end)
    by_layer = run.complete(
        EngineConfig(source, holding.budget, None, journal, pace, score_named(recipe.score)), reporter
    )
    record = layered if by_layer else replace(prepared.record, recipe=replace(recipe, engine="whole"))
    ranking = Ranking(dict(sorted(tensors.items())), job.keep)
    return Scored(RankingFile(ranking, prepared.model, record), model, source, partial)


def _warn_of_time(prepared: ScoringInputs, holding: MemoryPlan, reporter: Reporter) -> None:
    """Say what a slow precision costs, before any of it."""
    demand, faster = prepared.demand, prepared.demand.where.faster
    if faster is not None:
        own, other = (about(scoring_seconds(demand, holding.engine, dtype)) for dtype in (None, faster))
        reporter.note(
            f"Scoring in {demand.where.precision} takes about {own} here; in {name_of(faster)}, about {other}."
        )


@dataclass(frozen=True, eq=False)
class _Run:
    """A scoring under way: ``tensors`` fills with what is finished, and finished layers go to ``partial``."""

    prepared: ScoringInputs
    keep: float
    model: Any
    targets: Sequence[Target]
    partial: Partial
    tensors: dict[str, RankedTensor]

    def complete(self, config: EngineConfig, reporter: Reporter) -> bool:
        """Score what is left; says whether that went layer by layer.

        A device without memory for the usual batches is tried once more with smaller ones.
        """
        try:
            return self._score(config, reporter)
        except DeviceOutOfMemory:
            if config.tokens_per_batch or self.prepared.record.recipe.accumulate == "model":
                raise
        # Only behind the handler has the error let go of the tensors that were in the way.
        device = self.model.device
        if device.type == "cuda":
            torch.cuda.empty_cache()
        reporter.note("The device has too little memory for the usual batches; going on with a quarter of them.")
        return self.complete(replace(config, tokens_per_batch=usual_tokens(device) // 4), reporter)

    def _score(self, config: EngineConfig, reporter: Reporter) -> bool:
        left = [target for target in self.targets if target.parameter not in self.tensors]
        if not left:
            return True
        recipe = self.prepared.record.recipe
        with step(reporter, "Checking the engine"):
            choice = make_engine(recipe.engine, self.model, left, recipe.accumulate, config)
        if choice.note:
            reporter.note(choice.note)
        by_layer = choice.engine.name == "layerwise"
        if self.tensors and not by_layer:
            raise PartialDiffers(path=self.partial.folder, what="the engine")
        with reporter.task("Scoring", sum(map(len, self.prepared.demand.examples)), "tokens") as advance:
            reporter.status("forwards" if by_layer else "")
            matrices = choice.engine.score(self.prepared.examples, self.keep, advance)
            for finished in self._layers(matrices) if by_layer else [self._ranked(list(matrices))]:
                self.tensors.update(finished)
                if by_layer:
                    self.partial.add(finished)
                    reporter.status(f"{len(self.tensors)} of {len(self.targets)} matrices")
        return by_layer

    def _layers(self, matrices: Iterable[ScoredMatrix]) -> Iterator[dict[str, RankedTensor]]:
        """The matrices of a layer together, as soon as its last one is there."""
        left = Counter(layer_and_matrix(target.parameter)[0] for target in self.targets)
        left.subtract(layer_and_matrix(parameter)[0] for parameter in self.tensors)
        sets, found = len(self.prepared.examples), list[ScoredMatrix]()
        for matrix in matrices:
            found.append(matrix)
            if len(found) == sets * left[layer_and_matrix(matrix.parameter)[0]]:
                yield self._ranked(found)
                found = []

    def _ranked(self, matrices: Iterable[ScoredMatrix]) -> dict[str, RankedTensor]:
        """The matrices with the base's values."""
        index = self.prepared.base.index
        tops: dict[str, dict[str, TopWeights]] = {}
        for matrix in matrices:
            top = TopWeights(matrix.indices, matrix.importance, index.raw(matrix.parameter, matrix.indices))
            tops.setdefault(matrix.parameter, {})[matrix.set_name] = top
        spans = {name: index.tensors[name].span for name in tops}
        return {name: RankedTensor(spans[name].shape, spans[name].dtype, tops[name]) for name in tops}


def _load(prepared: ScoringInputs, holding: MemoryPlan) -> tuple[Any, LayerSource]:
    """The model, and where its layers' weights come from."""
    index, demand = prepared.base.index, prepared.demand
    trust = prepared.record.recipe.trust_remote_code
    if holding.weights == "widened":
        return load_widened(index, trust)
    if holding.weights != "shards":
        return load_model(index, demand.where, trust), LoadedLayers()
    model = load_model(index, demand.where, trust, hollow_map(demand.skeleton, demand.where.device))
    return model, ShardLayers(model, index, demand.where)
