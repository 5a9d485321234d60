"""Batches of examples: padded on the right, of similar length, within a budget of tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from spin_hub.data.examples import IGNORE, Example

_PADDING: Final = 0.125


@dataclass(frozen=True, eq=False)
class Batch:
    """B examples of at most T tokens with R counted tokens in all.

    Padding is on the right and is not masked: in a causal model no token looks to its right.

    Attributes:
        ids: int64, shape (B, T).
        lengths: the tokens of each example, without padding.
        rows: the source's row of each example.
        owner: int64, shape (R,), the example of each counted token.
        place: int64, shape (R,), the position whose logits predict it.
        labels: int64, shape (R,), the counted tokens.
        share: float32, shape (R,), one over the number of counted tokens of its example.
    """

    ids: Tensor
    lengths: tuple[int, ...]
    rows: tuple[int, ...]
    owner: Tensor
    place: Tensor
    labels: Tensor
    share: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """(B, T)."""
        return int(self.ids.shape[0]), int(self.ids.shape[1])

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("ids", "owner", "place", "labels", "share")}
        return replace(self, **moved)


def usual_tokens(device: torch.device) -> int:
    """Padded tokens per batch that suit a device: more gain nothing on a CPU, whose caches they outgrow."""
    return 640 if device.type == "cpu" else 8192


def make_batches(examples: Sequence[Example], tokens: int) -> Iterator[Batch]:
    """Batches of similar lengths, longest first.

    A batch has at most ``tokens`` padded tokens, and at most an eighth of it is padding; a longer or lonelier
    example is a batch of its own.
    """
    waiting: list[Example] = []
    for example in sorted(examples, key=len, reverse=True):
        padded = (len(waiting) + 1) * len(waiting[0]) if waiting else 0
        if padded > tokens or padded * (1 - _PADDING) > sum(map(len, waiting)) + len(example):
            yield _collate(waiting)
            waiting = []
        waiting.append(example)
    if waiting:
        yield _collate(waiting)


def one_by_one(examples: Sequence[Example]) -> Iterator[Batch]:
    """One example per batch, in the order given."""
    return (_collate([example]) for example in examples)


def _collate(examples: Sequence[Example]) -> Batch:
    ids = torch.nn.utils.rnn.pad_sequence([example.ids for example in examples], batch_first=True)
    labels = torch.nn.utils.rnn.pad_sequence([example.labels for example in examples], True, IGNORE)
    owner, place = torch.nonzero(labels[:, 1:] != IGNORE, as_tuple=True)
    counted = torch.bincount(owner, minlength=len(examples))
    return Batch(
        ids=ids,
        lengths=tuple(len(example) for example in examples),
        rows=tuple(example.row for example in examples),
        owner=owner,
        place=place,
        labels=labels[owner, place + 1],
        share=1.0 / counted[owner].float(),
    )
