"""Requests from options, for the verbs with many of them."""

from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spin_hub.errors import UsageError
from spin_hub.kinds import MODEL, asked_kind, exported
from spin_hub.recipe import RULES
from spin_hub.workflows.options import (
    Options,
    check_keep,
    destination,
    limits,
    pairs,
    present,
    scoring_recipe,
    selection_recipe,
    settled,
    several,
    text_of,
)

if TYPE_CHECKING:
    from spin_hub.artifacts.publish import PushOptions
    from spin_hub.metrics.request import EvalRequest
    from spin_hub.workflows.edit import EditRequest
    from spin_hub.workflows.export import ExportRequest
    from spin_hub.workflows.sweep import SweepRequest

_PUSH: Final = ("repo_id", "private", "create_pr", "branch", "message", "tag", "yes", "no_verify")


def push_options(options: Options) -> "PushOptions":
    """Return how something is pushed.

    Raises:
        UsageError: options that contradict each other.
    """
    from spin_hub.artifacts.publish import PushOptions

    named = present(options, [name for name in _PUSH if name != "no_verify"])
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
    searching = RULES[selection.rule].searchable and not present(options, ("p", "q", "ratio"))
    kind = asked_kind(options.get("as_") or MODEL.name)
    push = pushed(options, ("yes",) if searching or "yes" in kind.knows else ())

    from spin_hub.workflows.edit import EditRequest

    named = present(options, ("force", "peft_type", "all_layers"))
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
        base=text_of(options.get("base")),
        scoring=scoring,
        expression=options.get("select"),
        limits=cost,
        pick=text_of(options.get("pick")),
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
        given[name] = text_of(given.get(name))
    tasks: dict[str, Any] = {"tasks": several(options["task"])} if options.get("task") else {}
    names = {field.name for field in fields(EvalRequest)} - {"model", "record", "tasks"}
    return EvalRequest(str(model), **present(given, names), **tasks, record=not options.get("no_record"))


def export_request(delta: str | Path, options: Options) -> "ExportRequest":
    """Return the request of ``export``.

    Raises:
        UsageError: an unknown form, or an option that it does not have.
    """
    from spin_hub.workflows.export import ExportRequest

    form = asked_kind(options.get("as_") or "", exported()).name
    named = present(options, ("peft_type", "all_layers", "yes", "measure", "trust_remote_code"))
    return ExportRequest(
        delta=str(delta), base=text_of(options.get("base")), form=form, destination=destination(options), **named
    )
