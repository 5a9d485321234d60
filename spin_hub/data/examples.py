"""Examples: rows as the tokens that reach the model, with the tokens that count."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from spin_hub.data.builtin import builtin_pairs
from spin_hub.data.chat import Tokenizer, open_chat
from spin_hub.data.rows import Row
from spin_hub.data.tokens import joined_ids, prompt_ids
from spin_hub.errors import BadRow
from spin_hub.recipe import ScoringRecipe

# The label of a token that does not count, as in torch.nn.functional.cross_entropy.
IGNORE = -100


@dataclass(frozen=True, eq=False)
class Example:
    """A (prompt, response) pair as tokens.

    Attributes:
        ids: int64, shape (T,).
        labels: int64, shape (T,): the token if it counts, else ``IGNORE``. The first is always ``IGNORE``, because
            nothing predicts it.
        row: number of the source's row, counted from 0.
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
    """Return the sha256 of all ids and labels in order, which is equal if the model reads equal tokens."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(len(example).to_bytes(8, "little"))
        digest.update(example.ids.numpy().astype("<i8").tobytes())
        digest.update(example.labels.numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def make_examples(name: str, rows: Iterable[Row], tokenizer: Tokenizer, recipe: ScoringRecipe) -> tuple[Example, ...]:
    """Tokenise rows in their order.

    Args:
        name: the calibration set's name, for messages.
        rows: prompts and responses.
        tokenizer: the model's.
        recipe: tokenization, chat template and maximal length.

    Raises:
        BadRow: a row of which no token counts.
        NoChatTemplate: the tokenizer has none, or it fails.
    """
    tokenise = _tokenise(tokenizer, recipe)
    return tuple(_example(name, row, tokenise, recipe.max_length) for row in rows)


def pair_examples(axis: str, tokenizer: Tokenizer, recipe: ScoringRecipe) -> list[tuple[Example, Example]]:
    """Tokenise the built-in pairs of an axis: (aware, unaware), with the answers' tokens counting.

    Raises:
        NoChatTemplate: a chat template is requested and cannot be used.
    """
    pairs = builtin_pairs(axis)
    name = f"{axis} pairs"
    aware = make_examples(name, (Row(pair.prompt, pair.aware, n) for n, pair in enumerate(pairs)), tokenizer, recipe)
    other = make_examples(name, (Row(pair.prompt, pair.unaware, n) for n, pair in enumerate(pairs)), tokenizer, recipe)
    return list(zip(aware, other, strict=True))


def pieces(example: Example, tokenizer: Tokenizer) -> list[tuple[str, bool]]:
    """Return every token of an example as text, and whether it counts."""
    counts = (example.labels != IGNORE).tolist()
    return [(tokenizer.decode([token]), counted) for token, counted in zip(example.ids.tolist(), counts, strict=True)]


def _example(name: str, row: Row, tokenise: Callable[[Row], tuple[list[int], int]], limit: int | None) -> Example:
    tokens, start = tokenise(row)
    ids = torch.tensor(tokens[:limit], dtype=torch.int64)
    labels = ids.clone()
    labels[: max(start, 1)] = IGNORE
    example = Example(ids, labels, row.number)
    if not example.counted:
        cut = limit is not None and len(tokens) > limit
        why = f"max_length {limit} leaves no response token" if cut else "its response gives no token to predict"
        hint = f"Raise --max-length: {start:,} tokens come before the response. Or give shorter rows." if cut else None
        raise BadRow(hint=hint, name=name, row=row.number, why=why)
    return example


def _tokenise(tokenizer: Tokenizer, recipe: ScoringRecipe) -> Callable[[Row], tuple[list[int], int]]:
    """Return a function from a row to its tokens and the place of the first one that counts."""

    def exact(row: Row) -> tuple[list[int], int]:
        prompt = prompt_ids(tokenizer, row.prompt)
        return prompt + list(tokenizer(row.response, add_special_tokens=False).input_ids), len(prompt)

    def published(row: Row) -> tuple[list[int], int]:
        # The released code takes the response's first token for a BOS and drops it, whatever it is.
        prompt = list(tokenizer(row.prompt).input_ids)
        return prompt + list(tokenizer(row.response).input_ids)[1:], len(prompt)

    if recipe.chat_template:
        template = open_chat(tokenizer, recipe.template_date)
        return lambda row: joined_ids(tokenizer, template.prompt(row.prompt, row.system), row.response)
    return published if recipe.tokenization == "published" else exact
