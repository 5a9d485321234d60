"""Trials: the cheap metrics of many edits of one model, each switched on in memory and off again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spin_hub.core.stats import Estimate
from spin_hub.data.example import Example
from spin_hub.metrics import gain, kl, perplexity, preference
from spin_hub.metrics.reading import Pairs, Reader
from spin_hub.metrics.state import State, beside_base


@dataclass(frozen=True)
class Trial:
    """What was measured of one state of a model.

    Attributes:
        kl: to the base, nats per token; None of the base itself.
        perplexity: of held-out general text.
        margins: axis -> per pair how much likelier the aware answer is, nats per token.
    """

    kl: Estimate | None
    perplexity: Estimate
    margins: Mapping[str, tuple[float, ...]]

    def preference(self, axis: str) -> Estimate:
        """The share of an axis's pairs whose aware answer is the likelier one."""
        return preference.preference(self.margins[axis])

    def gain(self, other: "Trial") -> Estimate:
        """How far this state is moved towards the aware answers, against another one: all pairs of all axes."""
        return gain.gain(
            *([margin for axis in self.margins for margin in trial.margins[axis]] for trial in (self, other))
        )


def try_out(
    model: Any,
    general: Sequence[Example],
    pairs: Pairs,
    states: Mapping[str, State],
    advance: Callable[[int], None],
) -> dict[str, Trial]:
    """Measures a loaded model as it is (``base``) and in every state.

    Arguments and errors are those of :func:`spin_hub.metrics.suite.measure`.
    """
    reader = Reader(model, beside_base(states), advance)
    text = reader.read("the general examples", general, divergence=True)
    margins = {axis: reader.margins(axis, entries) for axis, entries in pairs.items()}
    return {
        state: Trial(
            kl=kl.kl(text.kl[state], text.counts) if state in text.kl else None,
            perplexity=perplexity.perplexity(text.nll[state], text.counts),
            margins={axis: tuple(found[state]) for axis, found in margins.items()},
        )
        for state in reader.states
    }
