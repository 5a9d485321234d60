"""p and q for an edit without them: the default grid is tried out, and the best edit within limits taken."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from spin_hub.artifacts.base_model import Base
from spin_hub.errors import NothingGained
from spin_hub.metrics.likelihood import texts_for
from spin_hub.progress import Reporter, step
from spin_hub.recipe import Limits, SelectionRecipe
from spin_hub.scoring.score import Scored
from spin_hub.search import choose as picking
from spin_hub.search import study
from spin_hub.search.study import Subject

QS: Final = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
FACTORS: Final = (1.0, 3.0, 10.0, 30.0, 100.0)
"""The default grid: every q with these multiples of it as p, as far as the ranking reaches."""

Ratios: TypeAlias = tuple[float, float]
"""(p, q): the ratio of ``general``, and of every other set."""


@dataclass(frozen=True)
class Found:
    """The recipe found, and the record of the search."""

    recipe: SelectionRecipe
    record: dict[str, Any]


def search(base: Base, scored: Scored, wish: tuple[SelectionRecipe, Limits, bool], reporter: Reporter) -> Found:
    """Try the default grid out on texts that are not used for the report.

    Args:
        base: for its tokenizer.
        scored: the loaded model and its ranking; finished trials are kept beside its finished layers.
        wish: the recipe without p and q; the limits; and whether to take an edit that does no more than as many
            random weights.
        reporter: called with progress.

    Raises:
        NothingGained: nothing within the limits moves the model to the aware answers, or none more than chance.
    """
    recipe, limits, anyway = wish
    with step(reporter, "Reading the texts"):
        texts = texts_for(base, scored.content.scoring.recipe, scored.model, "pick")
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


def default_grid(keep: float) -> tuple[Ratios, ...]:
    """Return the default grid within a ranking that keeps weights up to a ratio; a p beyond it becomes that ratio."""
    # Rounded, without the digits that a product of decimal fractions leaves behind.
    pairs = {(float(f"{min(q * factor, keep):.6g}"), q) for q in QS if q <= keep for factor in FACTORS}
    return tuple(sorted(pairs, key=lambda pair: (pair[1], pair[0])))


def product_grid(ps: Iterable[float], qs: Iterable[float]) -> tuple[Ratios, ...]:
    """Return every given p with every given q, without repetition."""
    ps = list(ps)
    return tuple(dict.fromkeys((p, q) for q in qs for p in ps))
