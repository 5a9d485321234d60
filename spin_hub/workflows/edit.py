"""edit: score, select, apply and measure in one go."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from spin_hub.files.output import Placed
from spin_hub.hub.resolve import hub_cache
from spin_hub.recipe import DEFAULT_KEEP, Destination, Kind, Limits, ScoringRecipe, SelectionRecipe
from spin_hub.record import SetRecord, needs_warning
from spin_hub.workflows.base import open_base
from spin_hub.workflows.evidence import gather, warnings_of
from spin_hub.workflows.outcome import SMALL_OUTPUT, Outcome, Provenance, write_delta_folder, write_model_folder
from spin_hub.workflows.reporter import SILENT, Reporter
from spin_hub.workflows.score import score_base
from spin_hub.workflows.select import check_ratios, delta_from


@dataclass(frozen=True)
class EditRequest:
    """Everything that an edit needs to know.

    Attributes:
        model: a folder or Hub id.
        kind: ``model`` writes an edited checkpoint, ``delta`` only the delta.
        destination: ``./<model name>-spin`` or ``./<model name>-spin-delta`` by default.
        limits: what the edit may cost before a warning is due; None measures nothing.
    """

    model: str
    scoring: ScoringRecipe = field(default_factory=ScoringRecipe)
    selection: SelectionRecipe = field(default_factory=SelectionRecipe)
    kind: Kind = "model"
    destination: Destination = field(default_factory=Destination)
    limits: Limits | None = field(default_factory=Limits)


def edit(request: EditRequest, reporter: Reporter = SILENT) -> Outcome:
    """Scores a model, selects the coupled weights, measures what zeroing them does, and writes the result.

    Raises:
        SpinHubError: anything wrong with the request, the model, the sets or the output; nothing is left behind.
    """
    selection = request.selection
    base = open_base(request.model)
    target = Placed.of(request.destination, default_name(base.source.name, request.kind))
    needed = base.copy_bytes + SMALL_OUTPUT if request.kind == "model" else SMALL_OUTPUT
    target.check((base.source.folder, hub_cache()), needed)
    scoring = replace(request.scoring, sets={name: request.scoring.sets[name] for name in selection.names})
    keep = max(DEFAULT_KEEP, *selection.all_ratios.values())
    scored = score_base(base, scoring, keep, reporter, lambda shapes: check_ratios(shapes, selection))
    content = scored.content
    delta = delta_from(content, selection, base if selection.rule == "random" else None)
    matrices = len(content.ranking.tensors)
    reporter.note(f"Selected {delta.weights:,} weights in {len(delta.edits)} of {matrices} matrices.")
    evaluation = gather(base, scored, delta.selection, selection.seed, reporter) if request.limits else None
    provenance = Provenance(content.model, content.scoring, matrices, evaluation)
    warnings = warnings_of(evaluation, request.limits)
    for sentence in terms_of(content.scoring.sets):
        reporter.note(sentence)
    if request.kind == "delta":
        return replace(write_delta_folder(target, delta, provenance), warnings=warnings)
    return replace(write_model_folder(target, base, delta, provenance, reporter), warnings=warnings)


def terms_of(sets: Iterable[SetRecord]) -> tuple[str, ...]:
    """Sentences for data whose terms are non-commercial, disputed or not known."""
    return tuple(
        f"The terms of {entry.source} ({entry.name}) are {entry.licence}: find out whether they allow your use."
        for entry in sets
        if needs_warning(entry.licence)
    )


def default_name(model: str, kind: Kind) -> str:
    """The folder that an edit goes to where none is named; Llama's licence wants "Llama" first."""
    name = model.removeprefix("Meta-") if model.startswith("Meta-Llama") else model
    return f"{name}-spin" if kind == "model" else f"{name}-spin-delta"
