"""score: a model and calibration sets become a ranking."""

import time
from dataclasses import dataclass
from pathlib import Path

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import open_base
from spin_hub.artifacts.ranking_file import NAME as RANKING
from spin_hub.artifacts.ranking_file import RankingFile
from spin_hub.errors import RatioOutOfRange
from spin_hub.hub.cache import hub_cache
from spin_hub.progress import SILENT, Reporter
from spin_hub.recipe import BY_DEFAULT, DEFAULT_KEEP, Destination, ScoringRecipe
from spin_hub.scoring.inputs import prepare
from spin_hub.scoring.resume import kept_date
from spin_hub.scoring.score import Job, score_prepared
from spin_hub.scoring.selecting import check_kept


@dataclass(frozen=True)
class ScoreOutcome:
    """A written ranking: its path, its content, and what scoring took."""

    output: Path
    content: RankingFile
    seconds: float


def score(
    model: str,
    recipe: ScoringRecipe,
    destination: Destination = BY_DEFAULT,
    keep: float = DEFAULT_KEEP,
    reporter: Reporter = SILENT,
) -> ScoreOutcome:
    """Score a model and write its ranking, from which ``select`` needs no model.

    Args:
        model: a folder or Hub id.
        recipe: how importance is measured.
        destination: the ranking's file; ``spin_ranking.safetensors`` by default.
        keep: the ratio up to which weights are kept.
        reporter: called with progress.

    Raises:
        SpinHubError: anything wrong with the model, the sets or the output.
    """
    if not 0 < keep < 1:
        raise RatioOutOfRange(name="keep", value=keep)
    base = open_base(model, reporter)
    target = Placed.of(destination, RANKING)
    target.check((base.source.folder, hub_cache()))
    started = time.monotonic()
    job = Job(target.path, keep, recipe.max_memory, recipe.resumable)
    prepared = prepare(base, recipe, reporter, date=kept_date(target.path))
    check_kept(prepared.shapes, keep)
    scored = score_prepared(prepared, job, reporter)
    scored.write(target.path, reporter)
    return ScoreOutcome(target.path, scored.content, time.monotonic() - started)
