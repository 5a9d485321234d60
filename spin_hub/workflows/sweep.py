"""sweep: from one ranking many edits, each tried out in memory, in a study that says what they cost and gain."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from spin_hub.artifacts.atomic import Placed, new_file
from spin_hub.artifacts.base_model import Base, open_base, record_of
from spin_hub.artifacts.ranking_file import NAME as RANKING
from spin_hub.artifacts.ranking_file import RankingFile, read_ranking
from spin_hub.artifacts.write import Outcome, describe, write_delta_folder
from spin_hub.core.files import shard_digests
from spin_hub.core.json import differing
from spin_hub.core.names import Part
from spin_hub.core.ranking import Shape
from spin_hub.core.rules import DEFAULT_RULE
from spin_hub.errors import RankingMismatch, RatioBeyondRanking, UsageError
from spin_hub.hub.cache import hub_cache
from spin_hub.kinds import DELTA as DELTA_KIND
from spin_hub.metrics.likelihood import gather, texts_for
from spin_hub.model_cards.licences import derived_name
from spin_hub.model_cards.plots import pareto_plot
from spin_hub.models.device import place
from spin_hub.models.load import check_causal
from spin_hub.models.widening import load_running
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.recipe import Destination, Limits, ScoringRecipe, SelectionRecipe
from spin_hub.scoring.inputs import prepare
from spin_hub.scoring.resume import kept_date
from spin_hub.scoring.score import Job, score_prepared
from spin_hub.scoring.selecting import candidates_of, check_recipe, delta_from, shapes_within
from spin_hub.search import choose as picking
from spin_hub.search import study
from spin_hub.search.choose import Picked
from spin_hub.search.search import Ratios, default_grid, product_grid
from spin_hub.search.study import Row, Study, Subject

PLOT: Final = "sweep.png"
DELTA: Final = "delta"
KEEP: Final = 5e-2
_KEPT: Final = 20_000_000
"""Weights that a ranking for a sweep keeps for a set, at most: some 0.6 GB for three sets."""


@dataclass(frozen=True)
class SweepRequest:
    """The edits to try.

    Attributes:
        model: a model, which is scored first, or a ranking.
        base: the ranking's model, a folder or Hub id; None takes the Hub id that the ranking names.
        scoring: of a model; of a ranking only device, precision and trust count.
        ps, qs: the ratios, every p with every q; without both, the default grid.
        rules: by which weights are chosen; one that needs p = q is tried with no other pairs.
        expression: in place of the paper's.
        targets, layers: parts of the model, as :class:`spin_hub.core.names.Part` has them, each tried by itself.
        limits: what an edit may cost.
        pick: ``best``, ``knee`` or a row, whose delta is written; None writes none.
        keep: the ratio up to which a model's ranking keeps weights; None as much as is reasonable.
        destination: the study's folder; ``./<model name>-sweep`` by default.

    Raises:
        UsageError: a p without a q, or a ratio, rule or part of another form.
    """

    model: str
    base: str | None = None
    scoring: ScoringRecipe = field(default_factory=ScoringRecipe)
    ps: tuple[float, ...] = ()
    qs: tuple[float, ...] = ()
    rules: tuple[str, ...] = (DEFAULT_RULE,)
    expression: str | None = None
    targets: tuple[str, ...] = ("all",)
    layers: tuple[str, ...] = ("all",)
    limits: Limits = field(default_factory=Limits)
    pick: str | None = None
    keep: float | None = None
    destination: Destination = field(default_factory=Destination)

    def __post_init__(self) -> None:
        if bool(self.ps) != bool(self.qs):
            raise UsageError("Give both --p and --q, or neither for the default grid.")
        for rule in self.rules:
            SelectionRecipe(rule)
        for p in self.ps:
            SelectionRecipe(p=p)
        for q in self.qs:
            SelectionRecipe(q=q)
        _ = self.parts

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every target with every range of layers.

        Raises:
            UsageError: one of another form.
        """
        return tuple(Part(target, layers) for target in self.targets for layers in self.layers)


@dataclass(frozen=True, eq=False)
class SweepOutcome:
    """The folder, the study in it, and what was picked, with the delta that was written."""

    output: Path
    study: Study
    limits: Limits
    picked: Picked | None = None
    delta: Outcome | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON object that the command line prints."""
        found = self.study
        best, knee = picking.best_of(found, self.limits), picking.knee_of(found)
        return {
            "output": str(self.output),
            "rows": [picking.summary(found, row) for row in range(len(found.rows))],
            "front": [row + 1 for row in picking.front_of(found)],
            "best": None if best is None else best + 1,
            "knee": None if knee is None else knee + 1,
            "base": {"perplexity": found.known_base.perplexity.value} if found.base else None,
            "picked": None if self.picked is None else self.picked.place + 1,
            "why": None if self.picked is None else self.picked.why,
            "delta": None if self.delta is None else str(self.delta.output),
        }


def sweep(request: SweepRequest, reporter: Reporter = SILENT) -> SweepOutcome:
    """Try many edits of one model out. The same command goes on with a study that was broken off.

    Raises:
        SpinHubError: the folder holds a study of something else.
        SpinHubError: the model does not fit into memory as a whole.
        SpinHubError: anything wrong with the model, the ranking, the ratios or the output.
    """
    given = Path(request.model).expanduser()
    ranking = given / RANKING if (given / RANKING).is_file() else given
    if ranking.is_file():
        with step(reporter, "Reading the ranking"):
            content = read_ranking(ranking)
        _check(request, content.ranking.sets, content.scoring.recipe, content.ranking.keep)
        _check_parts(request, {name: tensor.shape for name, tensor in content.ranking.tensors.items()})
        base = _base_of(content, request, reporter)
        target = _target(request, base, (ranking,))
        subject = _loaded(base, content, request.scoring, reporter)
    else:
        _check(request, tuple(request.scoring.sets), request.scoring, request.keep or KEEP)
        base = open_base(request.model, reporter)
        target = _target(request, base, ())
        subject = _scored(base, request, target.path, reporter)
    content = subject.content
    candidates = candidates_for(request, content.ranking.keep)
    found = study.run(subject, candidates, target.path / study.NAME, reporter)
    with step(reporter, "Drawing"), new_file(target.path / PLOT) as path:
        earlier = study.earlier(target.path / study.NAME, found)
        _draw(found, earlier, request.limits, content.model.name, path)
    if request.pick is None:
        return SweepOutcome(target.path, found, request.limits)
    chosen = picking.place_of(found, request.pick, request.limits)
    picked = picking.pick(subject, found, (chosen, candidates[chosen]), request.limits, reporter)
    delta = _write_delta(base, subject, candidates[chosen], target.path / DELTA, reporter)
    return SweepOutcome(target.path, found, request.limits, picked, delta)


def candidates_for(request: SweepRequest, keep: float) -> list[SelectionRecipe]:
    """The edits to try, part by part and rule by rule.

    Raises:
        UsageError: there is nothing to try.
    """
    grid: tuple[Ratios, ...] = product_grid(request.ps, request.qs) if request.ps else default_grid(keep)
    rules = [SelectionRecipe(name).entry for name in request.rules]
    found = [
        SelectionRecipe(name, request.expression if rule.takes_expression else None, p, q, part=part)
        for part in request.parts
        for name, rule in zip(request.rules, rules, strict=True)
        for p, q in grid
        if p == q or not rule.one_ratio
    ]
    if not found:
        named = " and ".join(f"the {name} rule" for name in request.rules)
        raise UsageError(message=f"There is nothing to try: {named} needs p = q.")
    return found


def _check(request: SweepRequest, sets: Sequence[str], scoring: ScoringRecipe, keep: float) -> None:
    """Refuse what could not be tried, before anything is scored or loaded."""
    candidates = candidates_for(request, keep)
    for candidate in candidates:
        check_recipe(candidate, sets, scoring)
        for name, ratio in candidate.all_ratios.items():
            if ratio > keep:
                raise RatioBeyondRanking(name=name, value=ratio, kept=keep)
    picking.check_wish(request.pick, len(candidates))


def _check_parts(request: SweepRequest, shapes: Mapping[str, Shape]) -> None:
    for part in request.parts:
        shapes_within(shapes, part)


def keep_for(shapes: Iterable[Shape]) -> float:
    """The ratio up to which a ranking of such matrices is kept, where p and q are still to be found."""
    return float(f"{min(KEEP, _KEPT / max(sum(map(math.prod, shapes)), 1)):.3g}")


def _target(request: SweepRequest, base: Base, inputs: tuple[Path, ...]) -> Placed:
    target = Placed.of(request.destination, derived_name(base.source.name, base.card, "-sweep"))
    if target.overwrite and (target.path / study.NAME).is_file():
        (target.path / study.NAME).unlink()
    begun = target.path.is_dir() and any((target.path / name).is_file() for name in (study.NAME, RANKING))
    if not begun:
        target.check((base.source.folder, hub_cache(), *inputs))
    return target


def _base_of(content: RankingFile, request: SweepRequest, reporter: Reporter) -> Base:
    name = request.base or content.model.pinned
    if name is None:
        raise UsageError(message="The ranking is of a local model: name it with --base.")
    return open_base(name, reporter)


def _loaded(base: Base, content: RankingFile, scoring: ScoringRecipe, reporter: Reporter) -> Subject:
    """The ranking, its model and the texts to try edits out on."""
    here = record_of(base, reporter).files
    wrong = differing(shard_digests(content.model.files), shard_digests(here))
    if wrong:
        raise RankingMismatch(why=f"the model's {wrong[0]} is not the file that was scored")
    check_causal(base.source.folder, base.index.config)
    where = place(scoring.device, scoring.dtype, base.index)
    reporter.note(where.sentence)
    with step(reporter, "Loading the model"):
        model = load_running(base.index, where, scoring.trust_remote_code)
    with step(reporter, "Reading the texts"):
        texts = texts_for(base, content.scoring.recipe, model, "pick")
    return Subject(model, content, texts, where.precision)


def _scored(base: Base, request: SweepRequest, folder: Path, reporter: Reporter) -> Subject:
    """The ranking that the folder holds already, or a new one, its model and the texts to try edits out on."""
    path = folder / RANKING
    content, date = None, kept_date(path)
    if path.is_file() and not request.destination.overwrite:
        with step(reporter, "Reading the ranking"):
            content = read_ranking(path)
            date = content.scoring.recipe.template_date
    prepared = prepare(base, request.scoring, reporter, date=date)
    _check_parts(request, prepared.shapes)
    keep = request.keep or keep_for(prepared.shapes.values())
    if content:
        same = replace(content.scoring.recipe, engine=prepared.record.recipe.engine) == prepared.record.recipe
        if content.model == prepared.model and same and content.ranking.keep == keep:
            reporter.note(f"{path} holds this very ranking already.")
            return _loaded(base, content, request.scoring, reporter)
    with step(reporter, "Reading the texts"):
        # A model that cannot read them is refused before it is scored.
        texts = texts_for(base, prepared.record.recipe, prepared.demand.skeleton, "pick")
    scored = score_prepared(
        prepared, Job(path, keep, request.scoring.max_memory, request.scoring.resumable, True), reporter
    )
    scored.write(path, reporter)
    with step(reporter, "Widening the weights"):
        scored.settle(request.scoring.max_memory)
    with step(reporter, "Reading the ranking"):
        return Subject(scored.model, read_ranking(path), texts, scored.precision)


def _write_delta(base: Base, subject: Subject, chosen: SelectionRecipe, place: Path, reporter: Reporter) -> Outcome:
    content = subject.content
    with step(reporter, "Choosing the weights"):
        delta = delta_from(content, chosen, base if chosen.entry.draws else None)
    with step(reporter, "Reading the texts"):
        texts = texts_for(base, content.scoring.recipe, subject.model)
    evaluation = gather(subject, texts, delta.selection, chosen.seed, reporter)
    record = describe(DELTA_KIND.name, delta, content.model, content.scoring, candidates_of(content, chosen))
    record = replace(record, evaluation=evaluation)
    return write_delta_folder(Placed(place, True), base, delta, record, reporter)


def _draw(found: Study, earlier: Iterable[Row], limits: Limits, name: str, path: Path) -> None:
    """Draw the rows by number, and those of earlier sweeps in the same folder without one."""
    labelled = [(str(place + 1), row) for place, row in enumerate(found.rows)] + [("", row) for row in earlier]
    rows = [(label, row.trial.kl, row.trial.gain(found.known_base))
            for label, row in labelled if row.trial and row.trial.kl]  # fmt: skip
    marked = {"best": picking.best_of(found, limits), "knee": picking.knee_of(found)}
    pareto_plot(rows, [str(row + 1) for row in picking.front_of(found)],
                {label: str(row + 1) for label, row in marked.items() if row is not None},
                limits.max_kl, f"Edits of {name}: what they cost and what they gain", path)  # fmt: skip
