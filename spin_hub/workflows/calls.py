"""The verbs as functions with keyword arguments, by the names of the command line's options.

    spin_hub.edit("org/model", p=1e-2, q=1e-3, output="model-spin")
    spin_hub.edit("org/model", p=1e-2, q=1e-3, as_="delta", push=True, repo_id="me/model-spin-delta")

``edit``, ``sweep``, ``evaluate`` and ``export`` also take one request object that has all options.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from spin_hub.errors import UsageError
from spin_hub.progress import SILENT, Reporter
from spin_hub.workflows import keywords, requests
from spin_hub.workflows import options as values
from spin_hub.workflows.keywords import known

if TYPE_CHECKING:
    from spin_hub.artifacts.write import Outcome
    from spin_hub.core.algebra import How
    from spin_hub.metrics.request import EvalRequest
    from spin_hub.workflows.edit import EditRequest
    from spin_hub.workflows.evaluate import EvalOutcome
    from spin_hub.workflows.export import ExportRequest
    from spin_hub.workflows.plan import Plan
    from spin_hub.workflows.revert import RevertOutcome
    from spin_hub.workflows.score import ScoreOutcome
    from spin_hub.workflows.sweep import SweepOutcome, SweepRequest

T = TypeVar("T")


def edit(model: "str | Path | EditRequest", reporter: Reporter = SILENT, **options: Unpack[keywords.Edit]) -> "Outcome":
    """Score a model, select the coupled weights, set them to zero, measure what that does, write it, publish it.

    Without ``p``, ``q`` and ``ratio`` several ratios are tried and the best within the limits is taken.

    Args:
        model: a folder or Hub id such as ``org/name@revision``, or a request.
        reporter: called with progress and notes.
        **options: such as ``p=1e-2, q=1e-3, as_="delta", output="out"``.

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
    from spin_hub.workflows.edit import EditRequest
    from spin_hub.workflows.edit import edit as run

    return run(_request(model, EditRequest, known(options, keywords.Edit), requests.edit_request), reporter)


def plan(model: "str | Path | EditRequest", reporter: Reporter = SILENT, **options: Unpack[keywords.Edit]) -> "Plan":
    """Return what an edit would read, compute and write, without doing it: ``spin-hub edit --plan``.

    Args:
        model: a folder or Hub id, or a request.
        reporter: called with progress and notes.
        **options: those of the edit.

    Raises:
        SpinHubError: anything that the edit itself would refuse at this point.
    """
    from spin_hub.workflows.edit import EditRequest
    from spin_hub.workflows.plan import plan as run

    return run(_request(model, EditRequest, known(options, keywords.Edit), requests.edit_request), reporter)


def score(model: str | Path, reporter: Reporter = SILENT, **options: Unpack[keywords.Score]) -> "ScoreOutcome":
    """Score a model and write its ranking, from which ``select`` needs no model.

    Args:
        model: a folder or Hub id.
        reporter: called with progress and notes.
        **options: such as ``samples=64, keep=1e-2, output="ranking.safetensors"``.

    Raises:
        SpinHubError: anything wrong with the options, the model, the sets or the output.
    """
    given = known(options, keywords.Score)
    recipe, place = values.scoring_recipe(given), values.destination(given)
    keep = {"keep": values.check_keep(given["keep"])} if "keep" in given else {}
    from spin_hub.workflows.score import score as run

    return run(str(model), recipe, place, reporter=reporter, **keep)


def select(ranking: str | Path, reporter: Reporter = SILENT, **options: Unpack[keywords.Select]) -> "Outcome":
    """Select weights from a ranking and write a delta folder.

    Args:
        ranking: a ranking file, or a folder that holds one.
        reporter: called with progress and notes.
        **options: such as ``p=1e-2, q=1e-3, output="delta"``.

    Raises:
        SpinHubError: anything wrong with the options, the ranking or the output.
    """
    given = known(options, keywords.Select)
    recipe, base = values.selection_recipe(given), given.get("base")
    from spin_hub.workflows.select import select as run

    return run(ranking, recipe, values.destination(given), None if base is None else str(base), reporter)


def sweep(
    model: "str | Path | SweepRequest", reporter: Reporter = SILENT, **options: Unpack[keywords.Sweep]
) -> "SweepOutcome":
    """Try many edits of one model out in memory; the same call goes on with a study that was broken off.

    Args:
        model: a folder or Hub id, a ranking, or a request.
        reporter: called with progress and notes.
        **options: such as ``p=[1e-2, 5e-2], q=[1e-3], pick="best"``.

    Raises:
        SpinHubError: anything wrong with the options, the model, the ranking or the output.
    """
    from spin_hub.workflows.sweep import SweepRequest
    from spin_hub.workflows.sweep import sweep as run

    return run(_request(model, SweepRequest, known(options, keywords.Sweep), requests.sweep_request), reporter)


def apply(
    delta: str | Path, model: str | Path, reporter: Reporter = SILENT, **options: Unpack[keywords.Apply]
) -> "Outcome":
    """Write a copy of a model, the delta's base or a variant of it, with the delta's weights set to zero.

    Args:
        delta: a delta file or folder, an edited model, or the Hub id of one.
        model: a folder or Hub id.
        reporter: called with progress and notes.
        **options: such as ``output="out", force=True``.

    Raises:
        SpinHubError: the delta does not fit, or anything wrong with the options, the model, the output or the Hub.
    """
    given = known(options, keywords.Apply)
    push = requests.pushed(given)
    from spin_hub.workflows.apply import ApplyOptions
    from spin_hub.workflows.apply import apply as run

    how = ApplyOptions(given.get("force", False), given.get("plan", False), push)
    return run(delta, model, values.destination(given), how, reporter)


def evaluate(
    model: "str | Path | EvalRequest", reporter: Reporter = SILENT, **options: Unpack[keywords.Evaluate]
) -> "EvalOutcome":
    """Measure a model before and after an edit, beside as many random weights set to zero.

    Args:
        model: a base or an edited model, a folder or Hub id, or a request.
        reporter: called with progress and notes.
        **options: such as ``delta="org/name-spin-delta", suite="quick"``.

    Raises:
        SpinHubError: anything wrong with the options, the models, the edit, the questions or the judge.
    """
    from spin_hub.metrics.request import EvalRequest
    from spin_hub.workflows.evaluate import evaluate as run

    return run(_request(model, EvalRequest, known(options, keywords.Evaluate), requests.eval_request), reporter)


def export(
    delta: "str | Path | ExportRequest", reporter: Reporter = SILENT, **options: Unpack[keywords.Export]
) -> "Outcome":
    """Write an adapter that makes a delta's weights zero on the delta's own base.

    Args:
        delta: a delta file or folder, an edited model, the Hub id of one, or a request.
        reporter: called with progress and notes.
        **options: such as ``as_="lora", base="my-model", output="my-lora"``.

    Raises:
        SpinHubError: the adapter cannot be made, or anything wrong with the options, the base or the output.
    """
    from spin_hub.workflows.export import ExportRequest
    from spin_hub.workflows.export import export as run

    return run(_request(delta, ExportRequest, known(options, keywords.Export), requests.export_request), reporter)


def push(folder: str | Path, reporter: Reporter = SILENT, **options: Unpack[keywords.PushFolder]) -> "Outcome":
    """Publish a folder that ``edit``, ``select`` or ``apply`` wrote, in one commit.

    Args:
        folder: an edited model or a delta folder.
        reporter: called with progress and notes.
        **options: such as ``repo_id="me/my-delta", private=True, as_="delta"``.

    Raises:
        NotPushable: the folder is not whole.
        SpinHubError: anything wrong with the options, the token, the repo or the Hub; nothing was changed there.
    """
    given = known(options, keywords.PushFolder)
    how = requests.push_options(given)
    from spin_hub.workflows.push import push as run

    return run(folder, how, given.get("as_"), reporter)


def combine(
    a: str | Path, b: str | Path, how: "How", reporter: Reporter = SILENT, **options: Unpack[keywords.Output]
) -> "Outcome":
    """Write the delta of the weights that two deltas share, that either has, or that only the first has.

    Args:
        a, b: deltas or edited models: files, folders or Hub ids.
        how: ``and``, ``or``, or ``sub`` for the weights of a that b does not have.
        reporter: called with progress.
        **options: such as ``output="shared"``.

    Raises:
        BasesDiffer: the two are not of one base.
        EmptySelection: no weight is left.
        SpinHubError: anything wrong with the options, the deltas or the output.
    """
    place = values.destination(known(options, keywords.Output))
    from spin_hub.workflows.combine import combine as run

    return run(a, b, how, place, reporter)


def revert(edited: str | Path, reporter: Reporter = SILENT, **options: Unpack[keywords.Output]) -> "RevertOutcome":
    """Write the base that an edited model was made from, byte for byte.

    Args:
        edited: a folder that ``edit`` or ``apply`` wrote, or the Hub id of one.
        reporter: called with progress.
        **options: such as ``output="my-model-again"``.

    Raises:
        DeltaNotFound: the folder is not an edited model.
        RevertFailed: the folder was changed since, so that the base does not come back exactly.
    """
    place = values.destination(known(options, keywords.Output))
    from spin_hub.workflows.revert import revert as run

    return run(edited, place, reporter)


def _request(first: Any, kind: type[T], options: dict[str, Any], make: Callable[[Any, dict[str, Any]], T]) -> T:
    if not isinstance(first, kind):
        return make(first, options)
    if options:
        raise UsageError(message=f"A request has all options: leave out {', '.join(options)}.")
    return first
