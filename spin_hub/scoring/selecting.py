"""From a ranking to a delta: a recipe's rule, checked and applied."""

import math
from collections.abc import Iterator, Mapping, Sequence

from spin_hub.artifacts.base_model import Base
from spin_hub.artifacts.open import base_ref
from spin_hub.artifacts.ranking_file import RankingFile
from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.core.names import Part
from spin_hub.core.ranking import Ranking, Shape, TopWeights, kept_count_of
from spin_hub.core.rules import ratio_for, smallest_useful_q
from spin_hub.core.selection import PAPER, Selection
from spin_hub.errors import EmptySelection, RankingMismatch, RatioTooSmall, UnknownSet, UsageError
from spin_hub.recipe import ScoringRecipe, SelectionRecipe


def delta_from(content: RankingFile, recipe: SelectionRecipe, base: Base | None) -> Delta:
    """The delta that a recipe selects from a ranking.

    Raises:
        UnknownSet, UsageError, RankingMismatch, RatioTooSmall, RatioBeyondRanking, EmptySelection: it selects none.
    """
    ranking = content.ranking
    check_recipe(recipe, ranking.sets, content.scoring.recipe)
    shapes = {name: tensor.shape for name, tensor in ranking.tensors.items()}
    if not shapes or any(len(shape) < 2 or 0 in shape for shape in shapes.values()):
        raise RankingMismatch(why="it holds no matrices, or something else among them")
    check_ratios(shapes, recipe)
    selection = choose(ranking, recipe)
    if not selection.weights:
        raise _empty(ranking.within(recipe.part), recipe)
    method = {**recipe.to_json(), "tensors": selection.tensors, "weights": selection.weights}
    return Delta(_edits(content, selection, base), base_ref(content.model), method)


def candidates_of(content: RankingFile, recipe: SelectionRecipe) -> int:
    """The number of matrices from which a recipe selects, touched or not."""
    return len(content.ranking.within(recipe.part).tensors)


def check_recipe(recipe: SelectionRecipe, sets: Sequence[str], scoring: ScoringRecipe) -> None:
    """Refuse a recipe that does not go with how the scores were made.

    Raises:
        UnknownSet: it reads a set that was not scored.
        RankingMismatch: the rule implies that weights are scored otherwise.
    """
    for name in recipe.names:
        if name not in sets:
            raise UnknownSet(name=name, known=", ".join(sets))
    implied = recipe.entry.implies
    if any(getattr(scoring, name) != value for name, value in implied.items()):
        wanted = [f"--{name.replace('_', '-')} {value}" for name, value in implied.items() if value is not False]
        raise RankingMismatch(why=f"the {recipe.rule} rule needs {' and '.join(wanted)}")


def shapes_within(shapes: Mapping[str, Shape], part: Part) -> list[Shape]:
    """The shapes of a part's matrices, from those of all parameters that are scored.

    Raises:
        UsageError: there is none.
    """
    found = [shape for name, shape in shapes.items() if part.holds(name)]
    if not found:
        raise UsageError(message=f"None of the matrices that are scored lies in the part {str(part)!r} of the model.")
    return found


def check_ratios(shapes: Mapping[str, Shape], recipe: SelectionRecipe) -> None:
    """Refuse ratios that select no weight in any matrix.

    Raises:
        UsageError: the recipe's part of the model has no matrix.
        RatioTooSmall: naming the smallest useful ratio.
    """
    inside = shapes_within(shapes, recipe.part)
    largest = max(math.prod(shape) for shape in inside)
    for name, ratio in recipe.all_ratios.items():
        if not any(recipe.entry.count(ratio, shape) for shape in inside):
            label = ("p" if name == "general" else "q") if name not in recipe.ratios else f"the ratio of {name}"
            smallest = f"{ratio_for(1, largest):.3g}"
            raise RatioTooSmall(name=label, value=ratio, largest=f"{largest:,}", smallest=smallest)


def check_kept(shapes: Mapping[str, Shape], keep: float) -> None:
    """Refuse a ratio at which a ranking keeps no weight of any matrix.

    Raises:
        RatioTooSmall: naming the smallest useful ratio.
    """
    if not any(kept_count_of(keep, shape) for shape in shapes.values()):
        largest = max(math.prod(shape) for shape in shapes.values())
        smallest = f"{ratio_for(1, largest):.3g}"
        raise RatioTooSmall(name="keep", value=keep, largest=f"{largest:,}", smallest=smallest)


def choose(ranking: Ranking, recipe: SelectionRecipe) -> Selection:
    """The weights that a recipe selects from a ranking; it may be none.

    Raises:
        RatioBeyondRanking: the ranking keeps fewer weights.
    """
    return recipe.entry.select(ranking.within(recipe.part), recipe)


def _edits(content: RankingFile, selection: Selection, base: Base | None) -> dict[str, TensorEdit]:
    if base is None:
        return {
            name: TensorEdit(tensor.shape, tensor.dtype, selection.of(name), values)
            for name, tensor, values in content.ranking.originals(selection)
        }
    edits = {}
    for name, indices in selection:
        tensor = content.ranking.tensors[name]
        place = base.index.tensors.get(name)
        if place is None or (place.span.shape, place.span.dtype) != (tensor.shape, tensor.dtype):
            raise RankingMismatch(why=f"the base has no tensor {name} of the ranking's shape and type")
        edits[name] = TensorEdit(tensor.shape, tensor.dtype, indices, base.index.raw(name, indices))
    return edits


def _empty(ranking: Ranking, recipe: SelectionRecipe) -> EmptySelection:
    flat = [name for name in recipe.all_ratios if not any(top.positive for top in _tops(ranking, name))]
    if flat:
        listed = " and ".join((", ".join(flat[:-1]), flat[-1]) if len(flat) > 1 else flat)
        counts = f"no weight has an importance above 0 for {listed}"
        advice = "The loss does not depend on the scored matrices: look at the model's weights and at --target."
        return EmptySelection(counts=counts, advice=advice)
    totals = {name: ranking.top(name, ratio, recipe.entry.count).weights for name, ratio in recipe.all_ratios.items()}
    counts = ", ".join(f"{name} has {total:,} top weights" for name, total in totals.items())
    text = recipe.parsed.text
    smallest = None
    if recipe.expression is None and not recipe.ratios and text == PAPER:
        smallest = smallest_useful_q(ranking, recipe.p)
    advice = (
        f"With p = {recipe.p:g} the smallest useful q for this model is {smallest:.3g}."
        if smallest is not None
        else "Raise q, or lower the ratio of what is excluded."
    )
    return EmptySelection(counts=f"{counts}, but '{text}' leaves none", advice=advice)


def _tops(ranking: Ranking, set_name: str) -> Iterator[TopWeights]:
    return (tensor.tops[set_name] for tensor in ranking.tensors.values())
