"""edit: score, select, apply and measure in one go."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace

from spin_hub.artifacts import publish
from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import Base, open_base
from spin_hub.artifacts.open import base_ref, record_at
from spin_hub.artifacts.publish import PushOptions
from spin_hub.artifacts.write import Outcome, default_name, describe, needed_bytes
from spin_hub.core.delta import Delta
from spin_hub.core.files import README
from spin_hub.errors import BeyondLimits, SpinHubError, UsageError
from spin_hub.exports.base import EXPORTS, Export, ExportOptions, SparseType
from spin_hub.hub.cache import hub_cache
from spin_hub.hub.token import account
from spin_hub.kinds import MODEL
from spin_hub.metrics.likelihood import Texts, gather, texts_for, warnings_of
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.recipe import DEFAULT_KEEP, Destination, Limits, ScoringRecipe, SelectionRecipe
from spin_hub.record import Record, SetRecord, needs_warning
from spin_hub.scoring.inputs import ScoringInputs, prepare
from spin_hub.scoring.resume import kept_date, kept_ratio
from spin_hub.scoring.score import Job, Scored, score_prepared
from spin_hub.scoring.selecting import candidates_of, check_ratios, delta_from
from spin_hub.search.search import search
from spin_hub.workflows.sweep import keep_for
from spin_hub.workflows.verify import verified


@dataclass(frozen=True)
class EditRequest:
    """Everything that an edit needs to know.

    Attributes:
        model: a folder or Hub id.
        kind: of the output, a name in :data:`spin_hub.exports.base.EXPORTS`.
        destination: the model's name with the kind's suffix by default, such as ``./<model name>-spin``.
        search: choose p and q by trying edits out; those of ``selection`` are then not read.
        anyway: take the best that was found even if it does no more than as many random weights, and write a LoRA
            of any rank.
        limits: what the edit may cost before a warning is due; None measures nothing.
        push: where to publish the result; None keeps it here.
        force: publish it even where it costs more than its limits.
        peft_type, all_layers: of an adapter; see :class:`spin_hub.exports.base.ExportOptions`.
    """

    model: str
    scoring: ScoringRecipe = field(default_factory=ScoringRecipe)
    selection: SelectionRecipe = field(default_factory=SelectionRecipe)
    kind: str = MODEL.name
    destination: Destination = field(default_factory=Destination)
    limits: Limits | None = field(default_factory=Limits)
    push: PushOptions | None = None
    force: bool = False
    search: bool = False
    anyway: bool = False
    peft_type: SparseType | None = None
    all_layers: bool = False

    def __post_init__(self) -> None:
        _ = self.options
        if self.search and self.limits is None:
            raise UsageError(message="Choosing p and q takes measurements: give --p and --q, or leave --no-eval out.")

    @property
    def export(self) -> Export:
        """The entry of the output's kind."""
        return EXPORTS[self.kind]

    @property
    def options(self) -> ExportOptions:
        """The kind with its own options.

        Raises:
            UsageError: an unknown kind, or an option that it does not have.
        """
        return ExportOptions(
            form=self.kind,
            peft_type=self.peft_type,
            all_layers=self.all_layers,
            yes=self.anyway,
            trust_remote_code=self.scoring.trust_remote_code,
        )


def edit(request: EditRequest, reporter: Reporter = SILENT) -> Outcome:
    """Score a model, select the coupled weights, measure what zeroing them does, write the result, publish it.

    With ``push`` an output that holds this very edit already is published as it is, so that an interrupted push
    goes on without computing anything again.

    Raises:
        BeyondLimits: the edit was written but not pushed, because it costs more than its limits.
        SpinHubError: anything wrong with the request, the model, the sets, the output or the Hub; nothing is left.
    """
    # A token that cannot push is refused before anything is downloaded.
    who = account() if request.push else None
    base = open_base(request.model, reporter)
    target = Placed.of(request.destination, default_name(base.source.name, base.card, request.kind))
    publication = None
    if who and request.push:
        publication = publish.prepare(who, request.push, request.kind, base.subject, reporter)
    if not (publication and (target.path / README).is_file()):
        _check_target(target, base, request.kind)
    scoring = replace(request.scoring, sets={name: request.scoring.sets[name] for name in request.selection.names})
    date = kept_date(target.path) or (_recorded_date(target) if publication else None)
    prepared = prepare(base, scoring, reporter, request.selection.part, date)
    request.export.check(request.options, base, [target.parameter for target in prepared.demand.targets], reporter)
    if not request.search:
        check_ratios(prepared.shapes, request.selection)
    if publication is None:
        return _make(request, prepared, target, reporter)
    publish.check_card(publication, _draft(request, prepared))
    outcome = _finished(request, prepared, target)
    if outcome is None:
        _check_target(target, base, request.kind)
        outcome = _make(request, prepared, target, reporter)
    else:
        reporter.note(f"{target.path} holds this very edit already; it is pushed as it is.")
    if outcome.warnings and not request.force:
        raise BeyondLimits(path=target.path, why=" ".join(outcome.warnings))
    outcome = replace(outcome, pushed=publish.publish(publication, target.path, outcome.record, reporter))
    return verified(outcome, publication.options, base.source, reporter)


def _make(request: EditRequest, prepared: ScoringInputs, target: Placed, reporter: Reporter) -> Outcome:
    """Score, select, measure and write."""
    selection, base = request.selection, prepared.base
    texts = None
    if request.limits:
        with step(reporter, "Reading the texts"):
            # A model that cannot read them is refused before it is scored.
            texts = texts_for(base, prepared.record.recipe, prepared.demand.skeleton)
    keep = keep_for(prepared.shapes.values()) if request.search else max(DEFAULT_KEEP, *selection.all_ratios.values())
    # Layers that keep more than is needed now, from a search that ended without an edit, serve as well.
    keep = max(keep, kept_ratio(target.path) or 0)
    job = Job(target.path, keep, request.scoring.max_memory, request.scoring.resumable, request.search)
    scored = score_prepared(prepared, job, reporter)
    try:
        outcome = _written(request, (scored, texts), base, target, reporter)
    except SpinHubError:
        if (kept := scored.partial.folder).is_dir():
            reporter.note(f"{kept} keeps the scores for a run with other ratios. Remove it if there will be none.")
        raise
    scored.partial.remove()
    return outcome


def _written(
    request: EditRequest, read: tuple[Scored, Texts | None], base: Base, target: Placed, reporter: Reporter
) -> Outcome:
    """Select, measure and write."""
    scored, texts = read
    selection, content = request.selection, scored.content
    if request.limits and scored.whole:
        with step(reporter, "Widening the weights"):
            scored.settle(request.scoring.max_memory)
    found = None
    if request.search and request.limits:
        found = search(base, scored, (selection, request.limits, request.anyway), reporter)
        selection = found.recipe
    with step(reporter, "Choosing the weights"):
        delta = delta_from(content, selection, base if selection.entry.draws else None)
    matrices = candidates_of(content, selection)
    reporter.note(f"Selected {delta.weights:,} weights in {len(delta.edits)} of {matrices} matrices.")
    evaluation = None
    if texts and scored.whole:
        evaluation = gather(scored, texts, delta.selection, selection.seed, reporter)
    elif request.limits:
        reporter.note("Nothing was measured: the model's weights do not fit into memory at once.")
    record = found.record if found else None
    described = describe(request.kind, delta, content.model, content.scoring, matrices)
    described = replace(described, evaluation=evaluation, search=record)
    warnings = warnings_of(evaluation, request.limits)
    for sentence in terms_of(content.scoring.sets):
        reporter.note(sentence)
    made = request.export.make(request.options, delta, base, reporter)
    for sentence in made.warnings:
        reporter.note(sentence)
    outcome = made.write(target, delta, described, reporter)
    return replace(outcome, warnings=warnings)


def _check_target(target: Placed, base: Base, kind: str) -> None:
    target.check((base.source.folder, hub_cache()), needed_bytes(base, kind))


def _draft(request: EditRequest, prepared: ScoringInputs) -> Record:
    """The record as far as it is known before scoring, for the Hub to validate the card that it gives."""
    nothing = Delta({}, base_ref(prepared.model), request.selection.to_json())
    adapter = request.export.draft(request.options)
    return replace(describe(request.kind, nothing, prepared.model, prepared.record), adapter=adapter)


def _recorded_date(target: Placed) -> str | None:
    record = record_at(target.path)
    return record.scoring.recipe.template_date if record and record.scoring else None


def _finished(request: EditRequest, prepared: ScoringInputs, target: Placed) -> Outcome | None:
    """The outcome of an earlier run of this request that is at the target, or None."""
    record = record_at(target.path)
    if record is None or record.scoring is None or record.kind != request.kind or record.model != prepared.model:
        return None
    method = {name: value for name, value in record.method.items() if name not in ("tensors", "weights")}
    same = (
        replace(record.scoring.recipe, engine=prepared.record.recipe.engine) == prepared.record.recipe
        and record.scoring.sets == prepared.record.sets
        and (_searched(record, request) if request.search else method == request.selection.to_json())
        and (record.evaluation is None) == (request.limits is None)
    )
    return Outcome(target.path, record, warnings_of(record.evaluation, request.limits)) if same else None


def _searched(record: Record, request: EditRequest) -> bool:
    """True if p and q of a record were chosen as the request asks."""
    known = record.search or {}
    limits = asdict(request.limits) if request.limits else None
    wanted = request.selection.to_json()
    same = all(record.method.get(name) == wanted.get(name) for name in ("expression", "part", "layers"))
    return known.get("limits") == limits and same


def terms_of(sets: Iterable[SetRecord]) -> tuple[str, ...]:
    """Sentences for data whose terms are non-commercial, disputed or not known."""
    return tuple(
        f"The terms of {entry.source} ({entry.name}) are {entry.licence}: find out whether they allow your use."
        for entry in sets
        if needs_warning(entry.licence)
    )
