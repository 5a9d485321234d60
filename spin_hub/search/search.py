"""p and q for an edit whose person gave none: the default grid is tried out, and the best edit within limits taken."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spin_hub.artifacts.base_model import Base
from spin_hub.errors import NothingGained
from spin_hub.metrics.held_out import texts_for
from spin_hub.progress import Reporter, step
from spin_hub.recipe import Limits, SelectionRecipe
from spin_hub.scoring.score import Scored
from spin_hub.search import choose as picking
from spin_hub.search import study
from spin_hub.search.grid import default_grid
from spin_hub.search.study import Subject


@dataclass(frozen=True)
class Found:
    """The recipe that was found, and what a record says of the search."""

    recipe: SelectionRecipe
    record: dict[str, Any]


def search(base: Base, scored: Scored, wish: tuple[SelectionRecipe, Limits, bool], reporter: Reporter) -> Found:
    """Tries the default grid out on texts that report on nothing else.

    Args:
        base: for its tokenizer.
        scored: the loaded model and its ranking; finished trials are kept beside its finished layers.
        wish: the recipe but for p and q; the limits; and whether an edit that does no more than as many random
            weights is taken all the same.
        reporter: told of progress.

    Raises:
        NothingGained: nothing within the limits moves the model to the aware answers, or none more than chance.
    """
    recipe, limits, anyway = wish
    with step(reporter, "Reading the texts"):
        texts = texts_for(base, scored.content.scoring.recipe, "pick")
    subject = Subject(scored.model, scored.content, texts, scored.precision)
    candidates = [replace(recipe, p=p, q=q) for p, q in default_grid(scored.content.ranking.keep)]
    path: Path = scored.partial.folder / study.NAME
    found = study.run(subject, candidates, path, reporter)
    place = picking.place_of(found, picking.BEST, limits)
    picked = picking.pick(subject, found, (place, candidates[place]), limits, reporter)
    reporter.note(picked.why)
    if not (picked.convinces or anyway):
        p, q = candidates[place].p, candidates[place].q
        best = f"the best of {len(found.trials)} edits (p = {p:g}, q = {q:g})"
        raise NothingGained(why=f"{best} does not surely gain more than as many random weights")
    return Found(candidates[place], picking.to_json(found, picked, limits))
