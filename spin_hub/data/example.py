"""One tokenised example: what the model reads, and which tokens count."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

IGNORE = -100
"""The label of a token that does not count, as in ``torch.nn.functional.cross_entropy``."""


@dataclass(frozen=True, eq=False)
class Example:
    """A (prompt, response) pair as tokens.

    Attributes:
        ids: int64, shape (T,), the tokens as the model reads them.
        labels: int64, shape (T,); token t where it counts, else ``IGNORE``. The first is always ``IGNORE``,
            since nothing predicts it.
        row: the row of the source that it was made from, counted from 0.
    """

    ids: Tensor
    labels: Tensor
    row: int

    def __len__(self) -> int:
        return int(self.ids.shape[0])

    @property
    def counted(self) -> int:
        """The number of tokens that count in the loss."""
        return int((self.labels != IGNORE).sum())


def fingerprint(examples: Iterable[Example]) -> str:
    """The sha256 of all ids and labels in order: equal where the model reads equal tokens."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(len(example).to_bytes(8, "little"))
        digest.update(example.ids.numpy().astype("<i8").tobytes())
        digest.update(example.labels.numpy().astype("<i8").tobytes())
    return digest.hexdigest()
