"""Perplexity of running text in windows, as the paper's code measures it on WikiText-2.

Settings: all texts joined by a blank line and tokenised as one; windows of equal size that do not overlap, the rest at
the end left out; in each window every token but the first is predicted from the window's tokens before it; exp of the
mean over all of them. Larger windows give lower values, so the size is always shown; values of other sizes, or of other
tokenizers, are not comparable, nor with published tables.
Baseline: the base model on the same windows.
Corrects for: nothing.
Interval: as that of :mod:`spin_hub.metrics.perplexity`, with windows for examples.
Source: S. Merity et al., "Pointer sentinel mixture models", ICLR (2017), for the text; arXiv 2410.16672 for its use.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch

from spin_hub.core.stats import Metric
from spin_hub.data.example import IGNORE, Example
from spin_hub.metrics.perplexity import perplexity
from spin_hub.metrics.reading import Reader
from spin_hub.metrics.state import State, beside_base

ABOUT: Final = {"name": "wikitext", "label": "Perplexity in windows", "unit": "per token", "better": "lower"}


def windows(tokens: Sequence[int], size: int, most: int | None = None) -> list[Example]:
    """Cuts tokens into windows of ``size``, at most ``most`` of them; the rest at the end is left out.

    Raises:
        ValueError: a size below 2.
    """
    if size < 2:
        raise ValueError("a window needs at least two tokens: the first is not predicted")
    whole = len(tokens) // size
    found = []
    for row in range(whole if most is None else min(whole, most)):
        ids = torch.tensor(tokens[row * size : (row + 1) * size])
        labels = ids.clone()
        labels[0] = IGNORE
        found.append(Example(ids, labels, row))
    return found


def wikitext(model: Any, cut: Sequence[Example], states: Mapping[str, State], advance: Callable[[int], None]) -> Metric:
    """Measures a loaded model as it is and in every state.

    Args:
        model: a causal language model of transformers in eval mode; it is left as it was, bit by bit.
        cut: the windows.
        states: name -> the weights that are zero in it, or another model.
        advance: told the number of tokens of every forward pass; those of all windows, for every state and the base.

    Raises:
        NotFinite: a log-probability that is not finite.
        ValueError: no windows.
    """
    if not cut:
        raise ValueError("the windows are no examples: there are none")
    reader = Reader(model, beside_base(states), advance)
    sums = reader.read("the windows", cut)
    values = {state: perplexity(sums.nll[state], sums.counts) for state in reader.states}
    return Metric(**ABOUT, axis=None, values=values)
