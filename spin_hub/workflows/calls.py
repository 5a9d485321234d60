"""The verbs as functions with keyword arguments, by the names of the command line's options.

    spin_hub.edit("org/model", p=1e-2, q=1e-3, output="model-spin")
    spin_hub.edit("org/model", p=1e-2, q=1e-3, as_="delta", push=True, repo_id="me/model-spin-delta")

Options whose names are words of Python end with an underscore: ``as_``. A request object in place of the model is
taken as it is.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from spin_hub.artifacts.publish import PushOptions
from spin_hub.artifacts.write import Outcome
from spin_hub.core.names import Part
from spin_hub.errors import UnknownSet, UsageError
from spin_hub.kinds import MODEL
from spin_hub.progress import SILENT, Reporter
from spin_hub.recipe import PAPER_SETS, Destination, Limits, ScoringRecipe, SelectionRecipe, under_rule
from spin_hub.workflows import apply as apply_verb
from spin_hub.workflows import edit as edit_verb
from spin_hub.workflows import score as score_verb
from spin_hub.workflows import select as select_verb
from spin_hub.workflows.edit import EditRequest

T = TypeVar("T")


class OutputKeywords(TypedDict, total=False):
    """Where an output goes."""

    output: str | Path
    overwrite: bool


class SetKeywords(TypedDict, total=False):
    """Calibration sets as SPECs, by name; ``sets`` takes names of one's own."""

    privacy: str
    fairness: str
    general: str
    sets: Mapping[str, str]


class ScoringKeywords(SetKeywords, total=False):
    """How importance is measured; see :class:`spin_hub.ScoringRecipe`."""

    samples: int
    seed: int
    target: str
    tokenization: str
    accumulate: str
    chat_template: bool
    max_length: int
    device: str
    dtype: str
    engine: str
    score: str
    trust_remote_code: bool
    max_memory: int
    resumable: bool


class SelectionKeywords(TypedDict, total=False):
    """Which weights are selected; see :class:`spin_hub.SelectionRecipe`."""

    p: float
    q: float
    ratio: Mapping[str, float]
    rule: str
    select: str
    part: str
    layers: str | int


class PushKeywords(TypedDict, total=False):
    """Where the output is published; see :class:`spin_hub.PushOptions`."""

    push: bool
    repo_id: str
    private: bool
    create_pr: bool
    branch: str
    message: str
    tag: str
    yes: bool


class EditKeywords(ScoringKeywords, SelectionKeywords, OutputKeywords, PushKeywords, total=False):
    """Options of ``spin-hub edit``."""

    as_: str
    peft_type: str
    all_layers: bool
    force: bool
    no_eval: bool
    max_kl: float
    max_perplexity_ratio: float


class ScoreKeywords(ScoringKeywords, OutputKeywords, total=False):
    """Options of ``spin-hub score``."""

    keep: float


class SelectKeywords(SelectionKeywords, OutputKeywords, total=False):
    """Options of ``spin-hub select``."""

    base: str
    seed: int


class ApplyKeywords(OutputKeywords, PushKeywords, total=False):
    """Options of ``spin-hub apply``."""

    force: bool
    plan: bool


def edit(model: str | Path | EditRequest, reporter: Reporter = SILENT, **options: Unpack[EditKeywords]) -> Outcome:
    """Score a model, select the coupled weights, set them to zero, measure what that does, write it, publish it.

    Without ``p``, ``q`` and ``ratio`` several ratios are tried and the best within the limits is taken.

    Args:
        model: a folder or Hub id such as ``org/name@revision``, or a request that has all options.
        reporter: called with progress and notes.
        **options: those of ``spin-hub edit``, such as ``p=1e-2, q=1e-3, as_="delta", output="out"``.

    Returns:
        Output folder, record, and what was pushed.

    Raises:
        UsageError: an unknown option, or values that are wrong or contradict each other.
        BeyondLimits: the edit was written but not pushed, because it costs more than its limits.
        SpinHubError: anything wrong with the model, the sets, the output or the Hub; nothing is left.

    Example:
        >>> import spin_hub
        >>> outcome = spin_hub.edit("org/model", p=1e-2, q=1e-3)  # doctest: +SKIP
        >>> outcome.record.result.weights  # doctest: +SKIP
        241
    """
    if isinstance(model, EditRequest):
        _all_known(options, None)
        return edit_verb.edit(model, reporter)
    _all_known(options, EditKeywords)
    known: dict[str, Any] = dict(options)
    selection = _selection(known)
    searching = not {"p", "q", "ratio"} & known.keys() and selection.rule == "paper"
    request = EditRequest(
        model=str(model),
        scoring=_scoring(known, selection),
        selection=selection,
        kind=known.get("as_", MODEL.name),
        destination=_destination(known),
        limits=None if known.get("no_eval") else _of(Limits, known),
        push=_push(known),
        force=known.get("force", False),
        search=searching,
        anyway=known.get("yes", False),
        peft_type=known.get("peft_type"),
        all_layers=known.get("all_layers", False),
    )
    return edit_verb.edit(request, reporter)


def score(
    model: str | Path,
    recipe: ScoringRecipe | None = None,
    reporter: Reporter = SILENT,
    **options: Unpack[ScoreKeywords],
) -> score_verb.ScoreOutcome:
    """Score a model and write its ranking, from which ``select`` needs no model.

    Args:
        model: a folder or Hub id.
        recipe: how importance is measured, in place of keyword arguments.
        reporter: called with progress and notes.
        **options: those of ``spin-hub score``, such as ``samples=64, keep=1e-2, output="ranking.safetensors"``.

    Raises:
        SpinHubError: anything wrong with the model, the sets or the output.
    """
    _all_known(options, ScoreKeywords)
    known: dict[str, Any] = dict(options)
    keep = {"keep": known["keep"]} if "keep" in known else {}
    return score_verb.score(str(model), recipe or _scoring(known), _destination(known), reporter=reporter, **keep)


def select(
    ranking: str | Path,
    recipe: SelectionRecipe | None = None,
    reporter: Reporter = SILENT,
    **options: Unpack[SelectKeywords],
) -> Outcome:
    """Select weights from a ranking and write a delta folder.

    Args:
        ranking: a ranking file, or a folder that holds one.
        recipe: rule or expression, and ratios, in place of keyword arguments.
        reporter: called with progress and notes.
        **options: those of ``spin-hub select``, such as ``p=1e-2, q=1e-3, output="delta"``.

    Raises:
        SpinHubError: anything wrong with the ranking, the recipe or the output.
    """
    _all_known(options, SelectKeywords)
    known: dict[str, Any] = dict(options)
    return select_verb.select(ranking, recipe or _selection(known), _destination(known), known.get("base"), reporter)


def apply(
    delta: str | Path, model: str | Path, reporter: Reporter = SILENT, **options: Unpack[ApplyKeywords]
) -> Outcome:
    """Write a copy of a model, the delta's base or a variant of it, with the delta's weights set to zero.

    Args:
        delta: a delta file or folder, an edited model, or the Hub id of one.
        model: a folder or Hub id.
        reporter: called with progress and notes.
        **options: those of ``spin-hub apply``, such as ``output="out", force=True``.

    Raises:
        SpinHubError: the delta does not fit, or anything wrong with the model, the output or the Hub.
    """
    _all_known(options, ApplyKeywords)
    known: dict[str, Any] = dict(options)
    how = apply_verb.ApplyOptions(known.get("force", False), known.get("plan", False), _push(known))
    return apply_verb.apply(delta, model, _destination(known), how, reporter)


def _all_known(options: Mapping[str, object], keywords: type | None) -> None:
    known = set(keywords.__annotations__) if keywords else set()
    for name in options:
        if name not in known:
            hint = ", ".join(sorted(known)) or "none beside a request"
            raise UsageError(message=f"There is no option {name!r}; known: {hint}.")


def _of(part: type[T], options: Mapping[str, Any]) -> T:
    """A dataclass with those of the options that are its fields."""
    names = {field.name for field in fields(part)}  # type: ignore[arg-type]
    return part(**{name: value for name, value in options.items() if name in names})


def _destination(options: Mapping[str, Any]) -> Destination:
    output = options.get("output")
    return Destination(None if output is None else Path(output), options.get("overwrite", False))


def _push(options: Mapping[str, Any]) -> PushOptions | None:
    if options.get("push"):
        return _of(PushOptions, options)
    stray = [name for name in ("repo_id", "private", "create_pr", "branch", "message", "tag") if name in options]
    if stray:
        raise UsageError(message=f"{stray[0]} says where to push: give push=True as well.")
    return None


def _selection(options: Mapping[str, Any]) -> SelectionRecipe:
    ratios: dict[str, Any] = {"ratios": dict(options["ratio"])} if "ratio" in options else {}
    part = Part(options.get("part", "all"), str(options.get("layers", "all")))
    named = {name: options[name] for name in ("rule", "p", "q", "seed") if name in options}
    if ("p" in options) != ("q" in options) and not ratios:
        recipe = SelectionRecipe(expression=options.get("select"), part=part, **named)
        if "general" in recipe.names and len(recipe.names) > 1:
            raise UsageError(message="Give both p and q, or neither.")
    return SelectionRecipe(expression=options.get("select"), part=part, **named, **ratios)


def _scoring(options: Mapping[str, Any], selection: SelectionRecipe | None = None) -> ScoringRecipe:
    given = {name: options[name] for name in PAPER_SETS if name in options} | dict(options.get("sets", {}))
    sets = {name: f"builtin:{name}" for name in PAPER_SETS} | given
    if selection is None:
        chosen = given if given and not given.keys() & set(PAPER_SETS) else sets
    else:
        unread = sorted(given.keys() - set(selection.names))
        if unread:
            raise UsageError(message=f"The set {unread[0]!r} is given, but the selection does not read it.")
        missing = [name for name in selection.names if name not in sets]
        if missing:
            raise UnknownSet(name=missing[0], known=", ".join(sets))
        chosen = {name: sets[name] for name in selection.names}
    recipe = _of(ScoringRecipe, {**options, "sets": chosen})
    return under_rule(recipe, selection.rule, options) if selection else recipe
