"""The likelihood metrics of a loaded model, in one go over the texts: of an edit, or of many that are tried out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spin_hub.core.stats import Estimate
from spin_hub.data.examples import Example
from spin_hub.evidence import BASE, Evidence
from spin_hub.metrics import gain, kl, perplexity, preference
from spin_hub.metrics.reading import Pairs, Reader
from spin_hub.metrics.states import State, beside_base


@dataclass(frozen=True)
class Trial:
    """Measurements of one state of a model.

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

    def gain(self, other: "Trial", axis: str | None = None) -> Estimate:
        """How far this state is moved towards the aware answers, against another one: the pairs of an axis, or all."""
        axes = self.margins if axis is None else (axis,)
        return gain.gain(*([margin for name in axes for margin in trial.margins[name]] for trial in (self, other)))


def try_out(
    model: Any,
    general: Sequence[Example],
    pairs: Pairs,
    states: Mapping[str, State],
    advance: Callable[[int], None],
) -> dict[str, Trial]:
    """Measure a loaded model as it is (``base``) and in every state.

    Args:
        model: a causal language model of transformers in eval mode; it is left as it was, bit by bit.
        general: held-out examples of text that the edit should leave alone.
        pairs: per axis the two answers to every prompt.
        states: name -> the weights that are zero in it, or another model, such as ``edited`` and ``control``.
        advance: called with the number of tokens of every forward pass; :func:`tokens_to_read` in all.

    Raises:
        NotEditable: a selection that the model does not hold.
        NotFinite: a state that gives a NaN or infinite log-probability.
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


def measure(
    model: Any,
    general: Sequence[Example],
    pairs: Pairs,
    states: Mapping[str, State],
    advance: Callable[[int], None],
) -> Evidence:
    """Measure KL, perplexity, preference and gain of a loaded model, as it is and in every state.

    Arguments and errors are those of :func:`try_out`.

    Raises:
        ValueError: a state called ``base``, no general examples, or an axis without pairs.
    """
    if BASE in states or not general or not all(pairs.values()):
        raise ValueError("evidence needs general examples, pairs for every axis, and no state called base")
    trials = try_out(model, general, pairs, states, advance)
    base = trials[BASE]
    metrics = [
        kl.METRIC.of({state: trial.kl for state, trial in trials.items() if trial.kl}),
        perplexity.METRIC.of({state: trial.perplexity for state, trial in trials.items()}),
    ]
    for axis in pairs:
        gained = {state: trial.gain(base, axis) for state, trial in trials.items() if state != BASE}
        metrics.append(preference.METRIC.of({state: trial.preference(axis) for state, trial in trials.items()}, axis))
        metrics.append(gain.METRIC.of(gained, axis))
    about = {"general_examples": len(general), "pairs": {axis: len(entries) for axis, entries in pairs.items()}}
    return Evidence(tuple(trials), tuple(metrics), about)


def tokens_to_read(general: Sequence[Example], pairs: Pairs, states: int) -> int:
    """The tokens that ``measure`` forwards with so many states beside the base."""
    answers = [example for entries in pairs.values() for pair in entries for example in pair]
    return sum(map(len, [*general, *answers])) * (1 + states)
