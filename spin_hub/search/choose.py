"""Choice of one of many tried edits: by cost and gain, within limits, and compared with as many random weights."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

from spin_hub.core.rules import at_random
from spin_hub.core.stats import Estimate
from spin_hub.errors import NothingGained, UsageError
from spin_hub.evidence import CONTROL
from spin_hub.metrics.reading import Trial
from spin_hub.progress import Reporter, step
from spin_hub.recipe import Limits, SelectionRecipe
from spin_hub.scoring.selecting import choose
from spin_hub.search.study import Row, Study, Subject

BEST: Final = "best"
KNEE: Final = "knee"
Point: TypeAlias = tuple[float, float]
"""(cost, gain): the KL to the base in nats per token, and the shift to the aware answers."""


def point_of(trial: Trial, base: Trial) -> Point:
    """Return a trial's cost and gain."""
    return (trial.kl.value if trial.kl else 0.0, trial.gain(base).value)


def within(trial: Trial, base: Trial, limits: Limits) -> bool:
    """Return whether a trial costs no more than the limits allow."""
    cost = trial.kl.value if trial.kl else 0.0
    return cost <= limits.max_kl and trial.perplexity.value <= limits.max_perplexity_ratio * base.perplexity.value


def front(points: Sequence[Point]) -> list[int]:
    """Return the indices of the Pareto-optimal points, by rising cost."""
    found: list[int] = []
    for place in sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1])):
        if not found or points[place][1] > points[found[-1]][1]:
            found.append(place)
    return found


def knee(points: Sequence[Point]) -> int | None:
    """Return the index of the front's point furthest above the line from its cheapest to its dearest point.

    Both axes are scaled to their range on the front, as in V. Satopaa et al., "Finding a 'Kneedle' in a Haystack"
    (2011); ties go to the cheaper one. Without points, None.
    """
    places = front(points)
    if not places:
        return None
    (low, least), (high, most) = points[places[0]], points[places[-1]]
    if high == low or most == least:
        return places[0]

    def height(place: int) -> float:
        cost, gain = points[place]
        return (gain - least) / (most - least) - (cost - low) / (high - low)

    return max(places, key=height)


def best(points: Sequence[Point], allowed: Sequence[bool]) -> int | None:
    """Return the index of the allowed point that gains most, of equal ones the cheapest, or None if none gains."""
    places = [place for place, point in enumerate(points) if allowed[place] and point[1] > 0]
    return max(places, key=lambda place: (points[place][1], -points[place][0]), default=None)


def front_of(study: Study) -> tuple[int, ...]:
    """Return the indices of the Pareto-optimal rows, by rising cost."""
    return tuple(study.measured[place] for place in front(_points(study)))


def knee_of(study: Study) -> int | None:
    """Return the index of the row at the front's knee, or None if nothing was measured."""
    place = knee(_points(study))
    return None if place is None else study.measured[place]


def best_of(study: Study, limits: Limits) -> int | None:
    """Return the index of the row that gains most within the limits, or None if none gains anything."""
    place = best(_points(study), _allowed(study, limits))
    return None if place is None else study.measured[place]


def _points(study: Study) -> list[Point]:
    return [point_of(trial, study.known_base) for trial in study.trials]


def _allowed(study: Study, limits: Limits) -> list[bool]:
    return [within(trial, study.known_base, limits) for trial in study.trials]


@dataclass(frozen=True)
class Picked:
    """The picked edit.

    Attributes:
        place: index of its row in the study.
        row: that row.
        gain: the shift to the aware answers against the base, on the texts by which it was picked.
        over_control: the shift against as many random weights.
        why: the reason, in a sentence.
    """

    place: int
    row: Row
    gain: Estimate
    over_control: Estimate
    why: str

    @property
    def convinces(self) -> bool:
        """Whether the whole interval of its gain over the control is above 0."""
        return self.over_control.low is not None and self.over_control.low > 0


def place_of(study: Study, wish: str, limits: Limits) -> int:
    """Return the index of the row that the user asks for: ``best``, ``knee``, or a number counted from 1.

    Raises:
        NothingGained: no row gains anything within the limits.
        UsageError: there is no such row, or it was not measured.
    """
    if wish in (BEST, KNEE):
        place = best_of(study, limits) if wish == BEST else knee_of(study)
        if place is None:
            raise NothingGained(why=_why_none(study, limits))
        return place
    check_wish(wish, len(study.rows))
    row = study.rows[int(wish) - 1]
    if row.trial is None:
        raise UsageError(message=f"Row {wish} cannot be picked: it selects {row.why}.")
    return int(wish) - 1


def check_wish(wish: str | None, rows: int) -> None:
    """Refuse a wish that does not name a row.

    Raises:
        UsageError: with the rows that may be picked.
    """
    if wish in (None, BEST, KNEE) or (wish and wish.isdecimal() and 1 <= int(wish) <= rows):
        return
    raise UsageError(message=f"--pick takes best, knee or a row from 1 to {rows}, not {wish!r}.")


def pick(
    subject: Subject, study: Study, candidate: tuple[int, SelectionRecipe], limits: Limits, reporter: Reporter
) -> Picked:
    """Measure the random control of a row on the same texts.

    Args:
        subject: model, ranking and texts.
        study: all rows.
        candidate: the row's index, and its recipe.
        limits: for the sentence.
        reporter: called with progress.
    """
    place, recipe = candidate
    row = study.rows[place]
    ranking = subject.content.ranking
    with step(reporter, "Drawing a random control"):
        control = at_random(ranking, choose(ranking, recipe), recipe.seed)
    measured = subject.try_out({CONTROL: control}, reporter, "Measuring a random control")
    trial = row.trial
    assert trial is not None
    gain, over = trial.gain(study.known_base), trial.gain(measured[CONTROL])
    return Picked(place, row, gain, over, _why(study, trial, gain, over, limits))


def to_json(study: Study, picked: Picked, limits: Limits) -> dict[str, Any]:
    """Return the record of a search: all rows, the picked one, and the reason."""
    return {
        "limits": asdict(limits),
        "tried": [summary(study, place) for place in range(len(study.rows))],
        "picked": picked.place + 1,
        "gain": asdict(picked.gain),
        "over_control": asdict(picked.over_control),
        "why": picked.why,
    }


def summary(study: Study, place: int) -> dict[str, Any]:
    """Return a row in a few figures."""
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
    allowed = sum(_allowed(study, limits))
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
    if not any(_allowed(study, limits)):
        return f"all {len(study.trials)} edits that were tried cost more than the limits allow"
    return f"none of the {len(study.trials)} edits that were tried moves the model to the aware answers"


def _figure(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2g}"
    return f"{estimate.value:.2g} ({estimate.low:.2g} to {estimate.high:.2g})"
