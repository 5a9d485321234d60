"""Coupling: how much a model's representations of fairness and of privacy questions depend on each other.

Settings: the representation of a question in a layer is that layer's output at the question's last token, from which
the answer is begun. The n-th question of one set is paired with the n-th of the other; normalised HSIC
(:mod:`spin_hub.metrics.hsic`) per layer, the metric being its mean over all layers.
Baseline: the base model, and by layer the mean over all pairings (``chance``).
Corrects for: the scale of the representations. Not for the pairing, which is arbitrary: compare with ``chance``.
Interval: 95 %, normal, its error from the jackknife over pairs (each left out once, kernels as they were).
Source: arXiv 2410.16672, which measures with HSIC in place of mutual information; B. Efron, "The Jackknife, the
Bootstrap and Other Resampling Plans" (1982), chapter 3.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from spin_hub.core.stats import Estimate, Metric, Z
from spin_hub.data.example import Example
from spin_hub.errors import NotFinite, UnsupportedModel
from spin_hub.metrics.hsic import Matrix, hsic, kernel
from spin_hub.metrics.state import State, beside_base, turned
from spin_hub.models.batches import make_batches, usual_tokens

ABOUT: Final = {"name": "coupling", "label": "Coupling (normalised HSIC)", "unit": "0 to 1", "better": "lower"}


@dataclass(frozen=True)
class Coupling:
    """What came out: the metric, and by state per layer the value and what chance gives."""

    metric: Metric
    layers: Mapping[str, Mapping[str, tuple[float, ...]]]


def coupling(
    model: Any,
    questions: tuple[Sequence[Example], Sequence[Example]],
    states: Mapping[str, State],
    advance: Callable[[int], None],
) -> Coupling:
    """Measures a loaded model as it is and in every state.

    Args:
        model: a causal language model of transformers in eval mode; it is left as it was, bit by bit.
        questions: as many of fairness as of privacy, at least three.
        states: name -> the weights that are zero in it, or another model.
        advance: told the number of tokens of every forward pass; :func:`tokens_of` in all.

    Raises:
        NotFinite: a state whose representations are not finite.
        UnsupportedModel: the model does not give its layers' outputs, or lacks weights of a selection.
        ValueError: not as many of the one as of the other.
    """
    everyone = beside_base(states)
    values, layers = {}, {}
    for name, state in everyone.items():
        with turned(model, state) as found:
            fairness, privacy = (representations(found, name, examples, advance) for examples in questions)
        kernels = [(kernel(f), kernel(p)) for f, p in zip(fairness, privacy, strict=True)]
        dependences = [hsic(*pair) for pair in kernels]
        values[name] = _estimate(kernels)
        layers[name] = {
            "value": tuple(entry.value for entry in dependences),
            "chance": tuple(entry.chance for entry in dependences),
        }
    return Coupling(Metric(**ABOUT, axis=None, values=values), layers)


def tokens_of(questions: tuple[Sequence[Example], Sequence[Example]], states: int) -> int:
    """The tokens that ``coupling`` forwards with so many states beside the base."""
    return sum(len(example) for examples in questions for example in examples) * (1 + states)


@torch.inference_mode()
def representations(
    model: Any, state: str, examples: Sequence[Example], advance: Callable[[int], None]
) -> NDArray[np.float32]:
    """Every layer's output at the last token of every text: shape (layers, examples, hidden size)."""
    found: dict[int, NDArray[np.float32]] = {}
    placed = [Example(example.ids, example.labels, place) for place, example in enumerate(examples)]
    for batch in make_batches(placed, usual_tokens(model.device)):
        out = model(input_ids=batch.ids.to(model.device), use_cache=False, output_hidden_states=True)
        states = getattr(out, "hidden_states", None)
        if not states:
            raise UnsupportedModel(what=type(model).__name__, why="it does not give its layers' outputs")
        rows = torch.arange(len(batch.rows))
        last = torch.tensor(batch.lengths) - 1
        # The first entry is the embedding, which no edit changes.
        taken = torch.stack([layer[rows.to(layer.device), last.to(layer.device)].float().cpu() for layer in states[1:]])
        if not torch.isfinite(taken).all():
            raise NotFinite(what=f"A layer's output of the {state} model", where="for the questions")
        found.update(zip(batch.rows, taken.transpose(0, 1).numpy(), strict=True))
        advance(sum(batch.lengths))
    return np.stack([found[place] for place in range(len(placed))], axis=1)


def _estimate(kernels: Sequence[tuple[Matrix, Matrix]]) -> Estimate:
    """The mean over layers, with the jackknife's interval."""
    n = len(kernels[0][0])
    value = _mean(kernels)
    if n < 4:
        return Estimate(value, None, None, n)
    everyone = np.arange(n)
    without = []
    for left in range(n):
        kept = np.ix_(everyone != left, everyone != left)
        without.append(_mean([(first[kept], second[kept]) for first, second in kernels]))
    spread = math.fsum((entry - math.fsum(without) / n) ** 2 for entry in without)
    half = Z * math.sqrt((n - 1) / n * spread)
    return Estimate(value, value - half, value + half, n)


def _mean(kernels: Sequence[tuple[Matrix, Matrix]]) -> float:
    return math.fsum(hsic(*pair).value for pair in kernels) / len(kernels)
