"""score: a model and calibration sets become a ranking."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spin_hub.calibration.examples import make_examples, pieces
from spin_hub.calibration.sources import Sample, Sampling, read_sample
from spin_hub.checkpoint.coordinates import check_identity
from spin_hub.core.example import Example, fingerprint
from spin_hub.core.ranking import RankedTensor, Ranking, Shape, TopWeights
from spin_hub.errors import RatioOutOfRange
from spin_hub.files.output import Placed, new_file
from spin_hub.files.ranking_file import NAME as RANKING
from spin_hub.files.ranking_file import RankingFile, write_ranking
from spin_hub.hub.datasets import resolve_dataset
from spin_hub.hub.resolve import hub_cache
from spin_hub.recipe import BY_DEFAULT, DEFAULT_KEEP, Destination, ScoringRecipe
from spin_hub.record import ModelRecord, ScoringRecord, SetRecord
from spin_hub.scoring.engine import ScoredMatrix
from spin_hub.scoring.loading import check_causal, load_model, load_skeleton, load_tokenizer
from spin_hub.scoring.placement import Placement, place
from spin_hub.scoring.targets import find_targets
from spin_hub.scoring.whole import WholeEngine
from spin_hub.workflows.base import Base, open_base, record_of
from spin_hub.workflows.env import versions
from spin_hub.workflows.reporter import SILENT, Reporter


@dataclass(frozen=True, eq=False)
class Calibration:
    """One calibration set, sampled and tokenised."""

    sample: Sample
    examples: tuple[Example, ...]

    @property
    def record(self) -> SetRecord:
        """What a record says of it: no text, no path."""
        dataset = self.sample.dataset
        return SetRecord(
            name=self.sample.name,
            source=self.sample.source,
            licence=self.sample.licence,
            rows=self.sample.available,
            used=len(self.examples),
            tokens=sum(len(example) for example in self.examples),
            counted=sum(example.counted for example in self.examples),
            rows_sha256=self.sample.fingerprint,
            examples_sha256=fingerprint(self.examples),
            commit=dataset.commit if dataset else None,
            dataset_id=dataset.dataset_id if dataset else None,
            note=self.sample.note,
        )


@dataclass(frozen=True)
class ScoreOutcome:
    """A written ranking: its path, its content, and what scoring took."""

    output: Path
    content: RankingFile
    seconds: float


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything that scoring needs but the weights.

    Attributes:
        where: the model will run.
        shapes: of all target matrices.
        examples: set name -> examples.
        model, record: what a record says of the base and of the scoring, with everything pinned.
    """

    base: Base
    where: Placement
    shapes: tuple[Shape, ...]
    examples: Mapping[str, Sequence[Example]]
    model: ModelRecord
    record: ScoringRecord


@dataclass(frozen=True, eq=False)
class Scored:
    """A ranking, and the loaded model that it was made with."""

    content: RankingFile
    model: Any


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
    content = score_prepared(prepare(base, recipe, reporter), keep, reporter).content
    with new_file(target.path) as path:
        write_ranking(path, content)
    return ScoreOutcome(target.path, content, time.monotonic() - started)


def prepare(base: Base, recipe: ScoringRecipe, reporter: Reporter) -> Prepared:
    """Reads everything that scoring needs but the weights, and pins what decides the outcome.

    Raises:
        SpinHubError: the model, its files, the sets or the tokenizer are not usable.
    """
    check_causal(base.source.folder, base.index.config)
    where = place(recipe.device, recipe.dtype, base.index)
    skeleton = load_skeleton(base.index, recipe.trust_remote_code)
    shapes = tuple(tuple(target.weight.shape) for target in find_targets(skeleton, recipe.target))
    calibrations = calibrate(base, recipe)
    sets = tuple(entry.record for entry in calibrations.values())
    pinned = replace(
        recipe,
        sets={entry.name: entry.source for entry in sets},
        dtype=where.precision,  # type: ignore[arg-type]
        device=where.device.type,  # type: ignore[arg-type]
        engine="whole",
    )
    examples = {name: entry.examples for name, entry in calibrations.items()}
    record = ScoringRecord(pinned, sets, versions())
    return Prepared(base, where, shapes, examples, record_of(base, reporter), record)


def score_prepared(prepared: Prepared, keep: float, reporter: Reporter) -> Scored:
    """Loads the model and scores it: the heart of ``score`` and ``edit``."""
    base, recipe = prepared.base, prepared.record.recipe
    with reporter.task("Loading the model", 1, "step") as advance:
        model = load_model(base.index, prepared.where.dtype, prepared.where.device, recipe.trust_remote_code)
        advance(1)
    targets = find_targets(model, recipe.target)
    for target in targets:
        check_identity(base.index, target.parameter, target.weight)
    engine = WholeEngine(model, targets, recipe.accumulate)
    tokens = sum(len(example) for examples in prepared.examples.values() for example in examples)
    with reporter.task("Scoring", tokens, "tokens") as advance:
        matrices = list(engine.score(prepared.examples, keep, advance))
    return Scored(RankingFile(_ranking(base, matrices, keep), prepared.model, prepared.record), model)


def calibrate(base: Base, recipe: ScoringRecipe) -> dict[str, Calibration]:
    """Reads, samples and tokenises every set of a recipe, in its order.

    Raises:
        SpinHubError: a source, a row or the tokenizer is not usable.
    """
    sampling = Sampling(recipe.samples, recipe.seed)
    samples = {name: read_sample(name, spec, sampling, resolve_dataset) for name, spec in recipe.sets.items()}
    tokenizer = load_tokenizer(base.source.folder, recipe.trust_remote_code)
    return {
        name: Calibration(sample, make_examples(name, sample.rows, tokenizer, recipe))
        for name, sample in samples.items()
    }


def show_examples(model: str, recipe: ScoringRecipe, count: int) -> dict[str, list[list[tuple[str, bool]]]]:
    """The first examples of every set as the model reads them: per token its text, and whether it counts."""
    base = open_base(model)
    tokenizer: Any = load_tokenizer(base.source.folder, recipe.trust_remote_code)
    return {
        name: [pieces(example, tokenizer) for example in entry.examples[:count]]
        for name, entry in calibrate(base, recipe).items()
    }


def _ranking(base: Base, matrices: list[ScoredMatrix], keep: float) -> Ranking:
    tops: dict[str, dict[str, TopWeights]] = {}
    for matrix in matrices:
        original = base.index.raw(matrix.parameter, matrix.indices)
        tops.setdefault(matrix.parameter, {})[matrix.set_name] = TopWeights(matrix.indices, matrix.importance, original)
    spans: Mapping[str, Any] = {name: base.index.tensors[name].span for name in tops}
    tensors = {name: RankedTensor(spans[name].shape, spans[name].dtype, tops[name]) for name in sorted(tops)}
    return Ranking(tensors, keep)
