"""Which trials are worth a look: the front of cost and gain, its knee, and the best within limits."""

from collections.abc import Sequence

from spin_hub.metrics.suite import Trial
from spin_hub.recipe import Limits

Point = tuple[float, float]
"""(cost, gain): the KL to the base in nats per token, and the shift to the aware answers."""


def point_of(trial: Trial, base: Trial) -> Point:
    """A trial's cost and gain."""
    return (trial.kl.value if trial.kl else 0.0, trial.gain(base).value)


def within(trial: Trial, base: Trial, limits: Limits) -> bool:
    """Whether a trial costs no more than the limits allow."""
    cost = trial.kl.value if trial.kl else 0.0
    return cost <= limits.max_kl and trial.perplexity.value <= limits.max_perplexity_ratio * base.perplexity.value


def front(points: Sequence[Point]) -> list[int]:
    """The places of the points than which none gains as much for less, or more for as little; by rising cost."""
    found: list[int] = []
    for place in sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1])):
        if not found or points[place][1] > points[found[-1]][1]:
            found.append(place)
    return found


def knee(points: Sequence[Point]) -> int | None:
    """The place of the front's point that lies furthest above the line from its cheapest to its dearest point.

    Both axes are scaled to their range on the front, as in V. Satopaa et al., "Finding a 'Kneedle' in a Haystack"
    (2011); ties go to the cheaper one. None without points.
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
    """The place of the allowed point with the greatest gain, of equal ones the cheapest; None where none gains."""
    places = [place for place, point in enumerate(points) if allowed[place] and point[1] > 0]
    return max(places, key=lambda place: (points[place][1], -points[place][0]), default=None)
