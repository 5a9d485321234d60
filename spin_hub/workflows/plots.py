"""The plots of inspect: where the weights are, how importance falls, how the sets overlap, what was measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spin_hub.artifacts.container import checked
from spin_hub.artifacts.open import open_delta
from spin_hub.artifacts.ranking_file import RankingFile, read_ranking
from spin_hub.evidence import reports
from spin_hub.model_cards.curves import importance_by_rank, importance_curves, overlap_curves
from spin_hub.model_cards.heat_map import HEAT_MAP, heat_map
from spin_hub.model_cards.plots import evidence_plot
from spin_hub.recipe import DEFAULT_KEEP
from spin_hub.record import NAME as RECORD
from spin_hub.workflows.inspect import Inspection


def draw(found: Inspection, folder: Path) -> tuple[Path, ...]:
    """Draw what an artefact holds as PNG files.

    Args:
        found: what :func:`spin_hub.workflows.inspect.inspect` says of the artefact.
        folder: where the files go; made if it is missing, existing plots are replaced.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if found.kind == "ranking":
        return _of_ranking(read_ranking(found.path), folder)
    heat_map(found.table, f"Weights set to zero: {sum(found.counts.values()):,}", folder / HEAT_MAP)
    _, record = open_delta(found.path)
    if record is None or record.evaluation is None:
        return (folder / HEAT_MAP,)
    evaluation, name = record.evaluation, record.model.name
    # The record may have been edited by hand.
    return (
        folder / HEAT_MAP,
        *checked(found.path.with_name(RECORD), lambda: draw_evaluation(evaluation, name, folder)),
    )


def draw_evaluation(evaluation: Mapping[str, Any], name: str, folder: Path) -> list[Path]:
    """Draw what was measured of a model of that name, and return the files.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: an entry has another form.
    """
    evidence_plot(evaluation, folder / "evidence.png")
    written = [folder / "evidence.png"]
    for plot in (plot for report in reports(evaluation) for plot in report.plots):
        written.append(folder / plot.name)
        plot.draw(plot.title.replace("{name}", name), written[-1])
    return written


def _of_ranking(content: RankingFile, folder: Path) -> tuple[Path, ...]:
    importance, overlap = folder / "importance.png", folder / "overlap.png"
    marks = {"default keep": DEFAULT_KEEP} if content.ranking.keep > DEFAULT_KEEP else {}
    name = content.model.name
    importance_curves(importance_by_rank(content.ranking), marks, f"Importance by rank, {name}", importance)
    overlap_curves(content.ranking, marks, f"Overlap of the top sets, {name}", overlap)
    return importance, overlap
