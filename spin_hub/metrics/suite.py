"""The quick suite: what an edit does to a model, beside the base and a control, in one go over the examples."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spin_hub.core.stats import Metric
from spin_hub.data.example import Example
from spin_hub.evidence import BASE, Evidence
from spin_hub.metrics import gain, kl, perplexity, preference
from spin_hub.metrics.reading import Pairs, Reader
from spin_hub.metrics.state import State, beside_base


def measure(
    model: Any,
    general: Sequence[Example],
    pairs: Pairs,
    states: Mapping[str, State],
    advance: Callable[[int], None],
) -> Evidence:
    """Measures KL, perplexity and preference of a loaded model, as it is and with every selection zeroed.

    Args:
        model: a causal language model of transformers in eval mode; it is left as it was, bit by bit.
        general: held-out examples of text that the edit should leave alone.
        pairs: per axis the two answers to every prompt.
        states: name -> the weights that are zero in it, or another model, such as ``edited`` and ``control``.
        advance: told the number of tokens of every forward pass; :func:`tokens_to_read` in all.

    Raises:
        NotEditable: a selection that the model does not hold.
        NotFinite: a state that gives a NaN or infinite log-probability.
        ValueError: a state called ``base``, no general examples, or an axis without pairs.
    """
    if BASE in states or not general or not all(pairs.values()):
        raise ValueError("evidence needs general examples, pairs for every axis, and no state called base")
    reader = Reader(model, beside_base(states), advance)
    text = reader.read("the general examples", general, divergence=True)
    metrics = [
        Metric(**kl.ABOUT, axis=None, values={name: kl.kl(text.kl[name], text.counts) for name in states}),
        Metric(
            **perplexity.ABOUT,
            axis=None,
            values={name: perplexity.perplexity(text.nll[name], text.counts) for name in reader.states},
        ),
    ]
    metrics += [metric for axis, entries in pairs.items() for metric in _answers(reader, axis, entries)]
    about = {"general_examples": len(general), "pairs": {axis: len(entries) for axis, entries in pairs.items()}}
    return Evidence(tuple(reader.states), tuple(metrics), about)


def tokens_to_read(general: Sequence[Example], pairs: Pairs, states: int) -> int:
    """The tokens that ``measure`` forwards with so many states beside the base."""
    answers = [example for entries in pairs.values() for pair in entries for example in pair]
    return sum(map(len, [*general, *answers])) * (1 + states)


def _answers(reader: Reader, axis: str, pairs: Sequence[tuple[Example, Example]]) -> list[Metric]:
    margins = reader.margins(axis, pairs)
    liked = {state: preference.preference(values) for state, values in margins.items()}
    gained = {state: gain.gain(values, margins[BASE]) for state, values in margins.items() if state != BASE}
    return [Metric(**preference.ABOUT, axis=axis, values=liked), Metric(**gain.ABOUT, axis=axis, values=gained)]
