"""Requests from options: the one mapping of the command line and of the library's keyword arguments.

Options are a mapping by the names of :mod:`spin_hub.workflows.keywords`; one that is missing or None has its default.
NAME=VALUE options are a mapping, or texts of that form.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spin_hub.errors import UnknownSet, UsageError
from spin_hub.kinds import MODEL, asked_kind, exported
from spin_hub.recipe import (
    PAPER_SETS,
    RULES,
    Destination,
    Limits,
    Part,
    ScoringRecipe,
    SelectionRecipe,
    under_rule,
)

if TYPE_CHECKING:
    from spin_hub.artifacts.publish import PushOptions
    from spin_hub.metrics.request import EvalRequest
    from spin_hub.workflows.edit import EditRequest
    from spin_hub.workflows.export import ExportRequest
    from spin_hub.workflows.sweep import SweepRequest

Options = Mapping[str, Any]

_PUSH: Final = ("repo_id", "private", "create_pr", "branch", "message", "tag", "yes", "no_verify")
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
    named = _present(options, ("rule", "p", "q", "seed"))
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
    recipe = ScoringRecipe(sets=sets, max_memory=bytes_of(options.get("max_memory")), **_present(options, names))
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
    return Limits(**_present(options, ("max_kl", "max_perplexity_ratio")))


def check_keep(keep: float) -> float:
    """Return the ratio up to which a ranking keeps weights.

    Raises:
        UsageError: it is outside of the open interval (0, 1).
    """
    if not 0 < keep < 1:
        raise UsageError(message=f"--keep must lie strictly between 0 and 1, not {keep}.")
    return keep


def push_options(options: Options) -> "PushOptions":
    """Return how something is pushed.

    Raises:
        UsageError: options that contradict each other.
    """
    from spin_hub.artifacts.publish import PushOptions

    named = _present(options, [name for name in _PUSH if name != "no_verify"])
    return PushOptions(**named, verify=not options.get("no_verify"))


def pushed(options: Options, free: Collection[str] = ()) -> "PushOptions | None":
    """Return how the output is pushed, or None without ``--push``.

    Args:
        options: of a verb that may push.
        free: those that mean something without ``--push`` too.

    Raises:
        UsageError: options of a push without ``--push``, or ones that contradict each other.
    """
    if options.get("push"):
        return push_options(options)
    for name in _PUSH:
        if options.get(name) not in (None, False) and name not in free:
            raise UsageError(message=f"--{name.replace('_', '-')} says how to push, but --push is not given.")
    return None


def edit_request(model: str | Path, options: Options, given: Collection[str] | None = None) -> "EditRequest":
    """Return the request of ``edit`` and of its plan.

    Args:
        model: a folder or Hub id.
        options: of the verb.
        given: names of those that win over a recipe file; None means all.

    Raises:
        UsageError: values that are wrong or contradict each other.
    """
    options = settled(options, options.keys() if given is None else given)
    selection = selection_recipe(options)
    scoring = scoring_recipe(options, selection)
    cost = None if options.get("no_eval") else limits(options)
    searching = RULES[selection.rule].searchable and not _present(options, ("p", "q", "ratio"))
    kind = asked_kind(options.get("as_") or MODEL.name)
    push = pushed(options, ("yes",) if searching or "yes" in kind.knows else ())

    from spin_hub.workflows.edit import EditRequest

    named = _present(options, ("force", "peft_type", "all_layers"))
    return EditRequest(
        model=str(model),
        scoring=scoring,
        selection=selection,
        kind=kind.name,
        destination=destination(options),
        limits=cost,
        push=push,
        search=searching,
        anyway=bool(options.get("yes")),
        **named,
    )


def sweep_request(model: str | Path, options: Options) -> "SweepRequest":
    """Return the request of ``sweep``.

    Raises:
        UsageError: values that are wrong or contradict each other.
    """
    scoring, cost = scoring_recipe(options), limits(options)
    if options.get("keep") is not None:
        check_keep(options["keep"])

    from spin_hub.workflows.sweep import SweepRequest

    repeated = {"p": "ps", "q": "qs", "rule": "rules", "part": "targets", "layers": "layers"}
    named: dict[str, Any] = {field: several(options[name]) for name, field in repeated.items() if options.get(name)}
    if "layers" in named:
        named["layers"] = tuple(map(str, named["layers"]))
    return SweepRequest(
        model=str(model),
        base=_text(options.get("base")),
        scoring=scoring,
        expression=options.get("select"),
        limits=cost,
        pick=_text(options.get("pick")),
        keep=options.get("keep"),
        destination=destination(options),
        **named,
    )


def eval_request(model: str | Path, options: Options) -> "EvalRequest":
    """Return the request of ``eval``.

    Raises:
        UsageError: values that are wrong or contradict each other.
    """
    from spin_hub.metrics.request import EvalRequest

    given = {**options, "questions": pairs(options.get("questions"), "--questions")}
    for name in ("answers", "task_dir"):
        given[name] = Path(given[name]) if given.get(name) else None
    for name in ("delta", "against"):
        given[name] = _text(given.get(name))
    tasks: dict[str, Any] = {"tasks": several(options["task"])} if options.get("task") else {}
    names = {field.name for field in fields(EvalRequest)} - {"model", "record", "tasks"}
    return EvalRequest(str(model), **_present(given, names), **tasks, record=not options.get("no_record"))


def export_request(delta: str | Path, options: Options) -> "ExportRequest":
    """Return the request of ``export``.

    Raises:
        UsageError: an unknown form, or an option that it does not have.
    """
    from spin_hub.workflows.export import ExportRequest

    form = asked_kind(options.get("as_") or "", exported()).name
    named = _present(options, ("peft_type", "all_layers", "yes", "measure", "trust_remote_code"))
    return ExportRequest(
        delta=str(delta), base=_text(options.get("base")), form=form, destination=destination(options), **named
    )


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


def _present(options: Options, names: Iterable[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if options.get(name) not in (None, [], {})}


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(message=f"--ratio {name}={value}: {value!r} is not a number.") from None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
