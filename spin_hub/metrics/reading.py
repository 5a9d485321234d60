"""Texts read by a model in several states, and the likelihood metrics of what it predicts, in one go over the texts.

No logits are kept, only sums over examples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

from spin_hub.core.stats import Estimate
from spin_hub.data.examples import Example
from spin_hub.errors import NotFinite
from spin_hub.evidence import BASE, Evidence
from spin_hub.metrics import gain, kl, perplexity, preference
from spin_hub.metrics.states import State, beside_base, turned
from spin_hub.models.batches import Batch, make_batches, usual_tokens
from spin_hub.models.forward import ResponseLogits

Pairs: TypeAlias = Mapping[str, Sequence[tuple[Example, Example]]]
"""Axis -> (aware, unaware) answers to one prompt each."""

_ELEMENTS: Final = 2**22
"""Logits converted to float32 at once: those of a whole batch would not fit beside a large model."""


@dataclass(eq=False)
class Sums:
    """Per example of a set, in its order: the number of counted tokens, and per state the sums over them."""

    counts: list[int]
    nll: dict[str, list[float]] = field(default_factory=dict)
    kl: dict[str, list[float]] = field(default_factory=dict)

    def add(self, sums: dict[str, list[float]], state: str, batch: Batch, values: Tensor) -> None:
        """Add the values of a batch's counted tokens, shape (R,), to the sums of their examples."""
        totals = sums.setdefault(state, [0.0] * len(self.counts))
        for owner, value in zip(batch.owner.tolist(), values.tolist(), strict=True):
            totals[batch.rows[owner]] += value


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads sets of examples with a model in every state.

    Attributes:
        model: a causal language model of transformers in eval mode; it is left as it was, bit by bit.
        states: name -> what is measured; the first is the base, of no weights.
        advance: called with the number of tokens of every forward pass.
    """

    model: Any
    states: Mapping[str, State]
    advance: Callable[[int], None]

    @torch.inference_mode()
    def read(self, name: str, examples: Sequence[Example], divergence: bool = False) -> Sums:
        """Return the sums over every example.

        Args:
            name: the set's name, for messages.
            examples: in any order.
            divergence: whether to sum the KL to the base too.
        """
        sums = Sums([example.counted for example in examples])
        device = self.model.device
        # Batches are ordered by length, so each example carries its place in the set.
        placed = [replace(example, row=place) for place, example in enumerate(examples)]
        for batch in (batch.to(device) for batch in make_batches(placed, usual_tokens(device))):
            base = None
            for state, weights in self.states.items():
                with turned(self.model, weights) as model:
                    logits = self._logits(model, batch)
                nll = _in_parts(perplexity.token_nll, logits, batch.labels)
                _refuse(name, state, batch, examples, nll)
                sums.add(sums.nll, state, batch, nll)
                if divergence and base is not None:
                    sums.add(sums.kl, state, batch, _in_parts(kl.token_kl, base, logits))
                base = logits if base is None else base
        return sums

    def margins(self, axis: str, pairs: Sequence[tuple[Example, Example]]) -> dict[str, list[float]]:
        """Return by state how much likelier the aware answer of every pair is, in nats per token, given the prompt."""
        # Both answers of all pairs are one set, so that the batches are full.
        sums = self.read(f"the pairs for {axis}", [answer for pair in pairs for answer in pair])
        found = {}
        for state, totals in sums.nll.items():
            means = [-total / count for total, count in zip(totals, sums.counts, strict=True)]
            found[state] = [aware - unaware for aware, unaware in zip(means[::2], means[1::2], strict=True)]
        return found

    def _logits(self, model: Any, batch: Batch) -> Tensor:
        with ResponseLogits(model, batch) as head:
            logits = head.select(model(input_ids=batch.ids, use_cache=False).logits)
        self.advance(sum(batch.lengths))
        return logits


def _in_parts(metric: Callable[[Tensor, Tensor], Tensor], logits: Tensor, other: Tensor) -> Tensor:
    """A metric of every token, shape (R,), computed for some tokens at a time."""
    rows = max(1, _ELEMENTS // logits.shape[-1])
    parts = zip(torch.split(logits, rows), torch.split(other, rows), strict=True)
    return torch.cat([metric(*part) for part in parts])


def _refuse(name: str, state: str, batch: Batch, examples: Sequence[Example], nll: Tensor) -> None:
    broken = (~torch.isfinite(nll)).nonzero()
    if len(broken):
        row = examples[batch.rows[int(batch.owner[broken[0]])]].row
        raise NotFinite(what=f"A log-probability of the {state} model", where=f"for row {row} of {name}")


@dataclass(frozen=True)
class Trial:
    """Measurements of one state of a model.

    Attributes:
        kl: to the base, in nats per token, or None of the base itself.
        perplexity: of held-out general text.
        margins: axis -> per pair, how much likelier the aware answer is, in nats per token.
    """

    kl: Estimate | None
    perplexity: Estimate
    margins: Mapping[str, tuple[float, ...]]

    def preference(self, axis: str) -> Estimate:
        """The share of an axis's pairs whose aware answer is the likelier one."""
        return preference.preference(self.margins[axis])

    def gain(self, other: "Trial", axis: str | None = None) -> Estimate:
        """The shift to the aware answers from another state to this one, over the pairs of an axis or of all."""
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
    """Count the tokens that :func:`measure` forwards with this number of states beside the base."""
    answers = [example for entries in pairs.values() for pair in entries for example in pair]
    return sum(map(len, [*general, *answers])) * (1 + states)
