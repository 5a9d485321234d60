"""Recipes and values from options: the one mapping of the command line and of the library's keyword arguments.

Options are a mapping by the names of :mod:`spin_hub.workflows.keywords`; one that is missing or None has its default.
NAME=VALUE options are a mapping, or texts of that form.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from spin_hub.errors import UnknownSet, UsageError
from spin_hub.recipe import PAPER_SETS, Destination, Limits, Part, ScoringRecipe, SelectionRecipe, under_rule

Options = Mapping[str, Any]

_IMPLIED: Final = ("tokenization", "accumulate", "chat_template")
"""Options that a rule may imply."""


def settled(options: Options, given: Collection[str]) -> dict[str, Any]:
    """Return options with what their recipe file and their preset add.

    Args:
        options: may hold defaults.
        given: names of those that the user gave, which win.

    Raises:
        UsageError: the recipe file is not usable, or the preset is unknown.
    """
    from spin_hub.artifacts.recipe_file import PRESETS, read_recipe_file

    named = {"set": "sets", "as": "as_"}
    file = read_recipe_file(Path(options["recipe"])) if options.get("recipe") else {}
    if "score" in given:
        file.pop("recorded_score", None)
    recipe = {named.get(name, name): value for name, value in file.items()}
    preset = (options if "preset" in given else {**options, **recipe}).get("preset", "builtin")
    if preset not in PRESETS:
        raise UsageError(message=f"The preset must be one of {', '.join(PRESETS)}, not {preset!r}.")
    sets = {name: spec for name, spec in PRESETS[preset].items() if name in PAPER_SETS}
    others = {name: value for name, value in PRESETS[preset].items() if name not in sets}
    return {**options, **others, **recipe, **{name: options[name] for name in given}, "preset_sets": sets}


def calibration_sets(options: Options, needed: Sequence[str] | None = None) -> dict[str, str]:
    """Return the sets to score: the three of the paper unless others are given or needed, each by its SPEC.

    Args:
        options: of a verb that scores.
        needed: the names that the selection reads, or None for all that is given.

    Raises:
        UsageError: a set is malformed, given twice, or not read by the selection.
        UnknownSet: the selection reads a set that is not given.
    """
    given = {name: options[name] for name in PAPER_SETS if options.get(name) is not None}
    own = pairs(options.get("sets"), "--set")
    for name in own:
        if name in given:
            raise UsageError(message=f"The set {name!r} is given twice.")
    given |= own
    sets = {**{name: f"builtin:{name}" for name in PAPER_SETS}, **options.get("preset_sets", {}), **given}
    if needed is None:
        return given if own and not set(given) & set(PAPER_SETS) else sets
    unread = [name for name in given if name not in needed]
    if unread:
        raise UsageError(message=f"The set {unread[0]!r} is given, but the selection does not read it.")
    for name in needed:
        if name not in sets:
            raise UnknownSet(name=name, known=", ".join(sets))
    return {name: sets[name] for name in needed}


def selection_recipe(options: Options) -> SelectionRecipe:
    """Return the selection recipe of options.

    Raises:
        UsageError: values that are wrong or contradict each other.
    """
    ratios = {name: _number(name, value) for name, value in pairs(options.get("ratio"), "--ratio").items()}
    part = Part(options.get("part") or "all", str(options.get("layers", "all")))
    named = present(options, ("rule", "p", "q", "seed"))
    recipe = SelectionRecipe(expression=options.get("select"), ratios=ratios, part=part, **named)
    # The other one would be the paper's tiny ratio, and a q without a p of its size takes out general ability.
    if ("p" in named) != ("q" in named) and not ratios and "general" in recipe.names and len(recipe.names) > 1:
        missing = "--q" if "p" in named else "--p"
        raise UsageError(message=f"{missing} is missing: give both --p and --q, or neither.")
    return recipe


def scoring_recipe(options: Options, selection: SelectionRecipe | None = None) -> ScoringRecipe:
    """Return the scoring recipe of options.

    Args:
        options: of a verb that scores.
        selection: what the ranking is for, if that is known: it names the sets, and its rule may imply options.

    Raises:
        UsageError: values that are wrong or contradict each other.
        UnknownSet: the selection reads a set that is not given.
    """
    from spin_hub.scoring.scores import score_named

    sets = calibration_sets(options, selection.names if selection else None)
    names = {field.name for field in fields(ScoringRecipe)} - {"sets", "max_memory"}
    recipe = ScoringRecipe(sets=sets, max_memory=bytes_of(options.get("max_memory")), **present(options, names))
    score_named(recipe.score, options.get("recorded_score"))
    if selection is None:
        return recipe
    return under_rule(recipe, selection.rule, {name: options.get(name) or None for name in _IMPLIED})


def destination(options: Options) -> Destination:
    """Return where the output goes."""
    output = options.get("output")
    return Destination(None if output is None else Path(output), bool(options.get("overwrite")))


def limits(options: Options) -> Limits:
    """Return what an edit may cost.

    Raises:
        UsageError: a limit that is not positive.
    """
    return Limits(**present(options, ("max_kl", "max_perplexity_ratio")))


def check_keep(keep: float) -> float:
    """Return the ratio up to which a ranking keeps weights.

    Raises:
        UsageError: it is outside of the open interval (0, 1).
    """
    if not 0 < keep < 1:
        raise UsageError(message=f"--keep must lie strictly between 0 and 1, not {keep}.")
    return keep


def bytes_of(size: str | int | None) -> int | None:
    """Return the bytes of a size such as ``8GiB``, ``500 MB`` or ``123456``.

    Raises:
        UsageError: it is not a size.
    """
    if size is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", str(size).lower())
    if not found:
        raise UsageError(message=f"--max-memory must be a size such as 8GiB or 500MB, not {size!r}.")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** " kmgt".index(found[2] or " "))


def pairs(values: Mapping[str, Any] | Iterable[str] | None, option: str) -> dict[str, Any]:
    """Return what an option that takes NAME=VALUE and may be repeated says.

    Raises:
        UsageError: a value of another form, or a name that is given twice.
    """
    if isinstance(values, Mapping):
        return dict(values)
    found: dict[str, Any] = {}
    for text in values or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(message=f"{option} takes NAME=VALUE, not {text!r}.")
        if name in found:
            raise UsageError(message=f"{option} gives {name!r} twice.")
        found[name] = value
    return found


def several(values: Any) -> tuple[Any, ...]:
    """Return the values of an option that may be repeated; a single value is one."""
    return tuple(values) if isinstance(values, list | tuple) else (values,)


def present(options: Options, names: Iterable[str]) -> dict[str, Any]:
    """Return those of the options that are given."""
    return {name: options[name] for name in names if options.get(name) not in (None, [], {})}


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(message=f"--ratio {name}={value}: {value!r} is not a number.") from None


def text_of(value: object) -> str | None:
    """Return a value as text, such as a path; None is none."""
    return None if value is None else str(value)
