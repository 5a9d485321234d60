"""edit: score, select and apply in one go."""

from dataclasses import dataclass, field, replace

from spin_hub.files.output import Placed
from spin_hub.hub.resolve import hub_cache
from spin_hub.recipe import DEFAULT_KEEP, Destination, ScoringRecipe, SelectionRecipe
from spin_hub.record import Kind
from spin_hub.workflows.base import open_base
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
    """

    model: str
    scoring: ScoringRecipe = field(default_factory=ScoringRecipe)
    selection: SelectionRecipe = field(default_factory=SelectionRecipe)
    kind: Kind = "model"
    destination: Destination = field(default_factory=Destination)


def edit(request: EditRequest, reporter: Reporter = SILENT) -> Outcome:
    """Scores a model, selects the coupled weights, and writes the edited model or the delta.

    Raises:
        SpinHubError: anything wrong with the request, the model, the sets or the output; nothing is left behind.
    """
    selection = request.selection
    base = open_base(request.model)
    target = Placed.of(request.destination, base.source.name + ("-spin" if request.kind == "model" else "-spin-delta"))
    needed = base.copy_bytes + SMALL_OUTPUT if request.kind == "model" else SMALL_OUTPUT
    target.check((base.source.folder, hub_cache()), needed)
    scoring = replace(request.scoring, sets={name: request.scoring.sets[name] for name in selection.names})
    keep = max(DEFAULT_KEEP, *selection.all_ratios.values())
    content = score_base(base, scoring, keep, reporter, lambda shapes: check_ratios(shapes, selection))
    delta = delta_from(content, selection, base if selection.rule == "random" else None)
    reporter.note(
        f"Selected {delta.weights:,} weights in {len(delta.edits)} of {len(content.ranking.tensors)} matrices."
    )
    if request.kind == "delta":
        return write_delta_folder(target, content, delta)
    provenance = Provenance(content.model, content.scoring, len(content.ranking.tensors))
    return write_model_folder(target, base, delta, provenance, reporter)
