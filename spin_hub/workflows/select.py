"""select: a ranking becomes a delta, without a model."""

from pathlib import Path

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import open_base
from spin_hub.artifacts.ranking_file import NAME as RANKING
from spin_hub.artifacts.ranking_file import read_ranking
from spin_hub.artifacts.write import Outcome, default_name, describe, write_delta_folder
from spin_hub.errors import DeltaNotFound, UsageError
from spin_hub.hub.cache import hub_cache
from spin_hub.kinds import DELTA
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.recipe import BY_DEFAULT, Destination, SelectionRecipe
from spin_hub.scoring.selecting import candidates_of, delta_from


def select(
    ranking: str | Path,
    recipe: SelectionRecipe,
    destination: Destination = BY_DEFAULT,
    model: str | None = None,
    reporter: Reporter = SILENT,
) -> Outcome:
    """Select weights from a ranking and write a delta folder.

    Args:
        ranking: a ranking file, or a folder that holds one.
        recipe: rule or expression, and ratios.
        destination: the delta's folder; ``./<model name>-spin-delta`` by default.
        model: the base, a folder or Hub id; only a rule that draws weights needs it, for their values.
        reporter: called with progress.

    Raises:
        SpinHubError: anything wrong with the ranking, the recipe or the output.
    """
    path = Path(ranking)
    path = path / RANKING if path.is_dir() else path
    if not path.is_file():
        raise DeltaNotFound(path=ranking, what="ranking")
    if recipe.entry.draws and model is None:
        why = f"The {recipe.rule} rule draws weights whose values no ranking holds: name the --base."
        raise UsageError(message=why)
    with step(reporter, "Reading the ranking"):
        content = read_ranking(path)
    target = Placed.of(destination, default_name(content.model.name, content.model.card, DELTA.name))
    target.check((path, hub_cache()))
    base = open_base(model, reporter) if model is not None else None
    with step(reporter, "Choosing the weights"):
        delta = delta_from(content, recipe, base)
    record = describe(DELTA.name, delta, content.model, content.scoring, candidates_of(content, recipe))
    return write_delta_folder(target, base, delta, record, reporter)
