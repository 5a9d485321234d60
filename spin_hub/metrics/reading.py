"""Examples read by a model in several states: sums of what its predictions say, and no logits kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

from spin_hub.data.examples import Example
from spin_hub.errors import NotFinite
from spin_hub.metrics import kl, perplexity
from spin_hub.metrics.states import State, turned
from spin_hub.models.batches import Batch, make_batches, usual_tokens
from spin_hub.models.forward import ResponseLogits

Pairs: TypeAlias = Mapping[str, Sequence[tuple[Example, Example]]]
"""Axis -> (aware, unaware) answers to one prompt each."""

_ELEMENTS: Final = 2**22
"""Float32 logits that are worked on at once: a batch's whole vocabulary would not fit beside a large model."""


@dataclass(eq=False)
class Sums:
    """Per example of a set: its counted tokens, and per state the sums over them, in the set's order."""

    counts: list[int]
    nll: dict[str, list[float]] = field(default_factory=dict)
    kl: dict[str, list[float]] = field(default_factory=dict)

    def add(self, sums: dict[str, list[float]], state: str, batch: Batch, values: Tensor) -> None:
        """Adds the values of a batch's counted tokens, shape (R,), to the sums of their examples."""
        totals = sums.setdefault(state, [0.0] * len(self.counts))
        for owner, value in zip(batch.owner.tolist(), values.tolist(), strict=True):
            totals[batch.rows[owner]] += value


@dataclass(frozen=True, eq=False)
class Reader:
    """Has the model read sets of examples in every state.

    Attributes:
        model: a causal language model of transformers in eval mode; it is left as it was, bit by bit.
        states: name -> what is measured; the first is the base, of no weights.
        advance: told the number of tokens of every forward pass.
    """

    model: Any
    states: Mapping[str, State]
    advance: Callable[[int], None]

    @torch.inference_mode()
    def read(self, name: str, examples: Sequence[Example], divergence: bool = False) -> Sums:
        """Sums over every example; no logits outlive their batch.

        Args:
            name: the set's name, for messages.
            examples: in any order.
            divergence: whether the KL to the base is wanted too.
        """
        sums = Sums([example.counted for example in examples])
        device = self.model.device
        # In a batch the examples stand by length, so each carries its place in the set.
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
        """By state, per pair how much likelier the aware answer is: nats per token, given the prompt."""
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
    """A metric of every token, shape (R,), worked out for some tokens at a time."""
    rows = max(1, _ELEMENTS // logits.shape[-1])
    parts = zip(torch.split(logits, rows), torch.split(other, rows), strict=True)
    return torch.cat([metric(*part) for part in parts])


def _refuse(name: str, state: str, batch: Batch, examples: Sequence[Example], nll: Tensor) -> None:
    broken = (~torch.isfinite(nll)).nonzero()
    if len(broken):
        row = examples[batch.rows[int(batch.owner[broken[0]])]].row
        raise NotFinite(what=f"A log-probability of the {state} model", where=f"for row {row} of {name}")
