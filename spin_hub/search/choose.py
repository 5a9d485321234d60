"""Which of many tried edits is taken, why, and whether it does more than as many random weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from spin_hub.core.rules import at_random
from spin_hub.core.stats import Estimate
from spin_hub.errors import NothingGained, UsageError
from spin_hub.metrics.suite import Trial
from spin_hub.progress import Reporter, step
from spin_hub.recipe import Limits, SelectionRecipe
from spin_hub.scoring.selecting import choose
from spin_hub.search.study import Row, Study, Subject

BEST: Final = "best"
KNEE: Final = "knee"
_CONTROL: Final = "control"


@dataclass(frozen=True)
class Picked:
    """The edit that is taken.

    Attributes:
        place: its row in the study.
        row: that row.
        gain: the shift to the aware answers against the base, on the texts by which it was picked.
        over_control: the same against as many random weights.
        why: why this one, in a sentence.
    """

    place: int
    row: Row
    gain: Estimate
    over_control: Estimate
    why: str

    @property
    def convinces(self) -> bool:
        """Whether the whole interval of what it does beyond chance lies above 0."""
        return self.over_control.low is not None and self.over_control.low > 0


def place_of(study: Study, wish: str, limits: Limits) -> int:
    """The row that a person asks for: ``best``, ``knee``, or a number counted from 1.

    Raises:
        NothingGained: no row gains anything within the limits.
        UsageError: there is no such row, or nothing was measured of it.
    """
    if wish in (BEST, KNEE):
        place = study.best(limits) if wish == BEST else study.knee()
        if place is None:
            raise NothingGained(why=_why_none(study, limits))
        return place
    check_wish(wish, len(study.rows))
    row = study.rows[int(wish) - 1]
    if row.trial is None:
        raise UsageError(message=f"Row {wish} cannot be picked: it selects {row.why}.")
    return int(wish) - 1


def check_wish(wish: str | None, rows: int) -> None:
    """Refuses a wish that names no row.

    Raises:
        UsageError: saying what may be picked.
    """
    if wish in (None, BEST, KNEE) or (wish and wish.isdecimal() and 1 <= int(wish) <= rows):
        return
    raise UsageError(message=f"--pick takes best, knee or a row from 1 to {rows}, not {wish!r}.")


def pick(
    subject: Subject, study: Study, candidate: tuple[int, SelectionRecipe], limits: Limits, reporter: Reporter
) -> Picked:
    """Looks closer at a row: measures its random control on the same texts.

    Args:
        subject: model, ranking and texts.
        study: all that was tried.
        candidate: the row's place, and its recipe.
        limits: for the sentence.
        reporter: told of progress.
    """
    place, recipe = candidate
    row = study.rows[place]
    ranking = subject.content.ranking
    with step(reporter, "Drawing a random control"):
        control = at_random(ranking, choose(ranking, recipe), recipe.seed)
    measured = subject.try_out({_CONTROL: control}, reporter, "Measuring a random control")
    trial = row.trial
    assert trial is not None
    gain, over = trial.gain(study.known_base), trial.gain(measured[_CONTROL])
    return Picked(place, row, gain, over, _why(study, trial, gain, over, limits))


def to_json(study: Study, picked: Picked, limits: Limits) -> dict[str, Any]:
    """What a record says of the search: what was tried, what came of it, and why one was taken."""
    return {
        "limits": asdict(limits),
        "tried": [summary(study, place) for place in range(len(study.rows))],
        "picked": picked.place + 1,
        "gain": asdict(picked.gain),
        "over_control": asdict(picked.over_control),
        "why": picked.why,
    }


def summary(study: Study, place: int) -> dict[str, Any]:
    """A row in few figures."""
    row = study.rows[place]
    method: Mapping[str, Any] = row.method
    found: dict[str, Any] = {
        "row": place + 1,
        "rule": method.get("rule"),
        "ratios": dict(method["ratios"]),
        "part": row.part,
        "weights": row.weights,
        "tensors": row.tensors,
        "why": row.why,
    }
    if row.trial is not None:
        trial, base = row.trial, study.known_base
        found |= {
            "kl": trial.kl.value if trial.kl else None,
            "perplexity_ratio": trial.perplexity.value / base.perplexity.value,
            "gain": asdict(trial.gain(base)),
            "preference": {axis: trial.preference(axis).value for axis in trial.margins},
        }
    return found


def _why(study: Study, trial: Trial, gain: Estimate, over: Estimate, limits: Limits) -> str:
    cost = trial.kl.value if trial.kl else 0.0
    allowed = sum(study.allowed(limits))
    text = (
        f"Of {len(study.trials)} edits that were measured, {allowed} stay within a KL of {limits.max_kl:g} and "
        f"{limits.max_perplexity_ratio:g} times the perplexity. This one costs a KL of {cost:.2g} and moves the model "
        f"by {_figure(gain)} nats per token to the aware answers"
    )
    beyond = "more than" if over.low is not None and over.low > 0 else "not surely more than"
    return f"{text}, {beyond} as many random weights do (by {_figure(over)})."


def _why_none(study: Study, limits: Limits) -> str:
    if not study.trials:
        return "none of the ratios selects a weight"
    if not any(study.allowed(limits)):
        return f"all {len(study.trials)} edits that were tried cost more than the limits allow"
    return f"none of the {len(study.trials)} edits that were tried moves the model to the aware answers"


def _figure(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2g}"
    return f"{estimate.value:.2g} ({estimate.low:.2g} to {estimate.high:.2g})"
