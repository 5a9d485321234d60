"""Greedy answers of a loaded model, deterministic.

Settings: greedy decoding (the likeliest token at every step), 64 new tokens, as in the paper's evaluation. The
checkpoint's own generation settings (sampling, beams, penalties, forced or suppressed tokens) are ignored, except for
the tokens that end an answer.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from transformers import GenerationConfig

from spin_hub.data.chat import Chat, Tokenizer
from spin_hub.data.tokens import prompt_ids
from spin_hub.errors import SpinHubError
from spin_hub.metrics.base import nothing
from spin_hub.models.limits import input_limits

_CPU_TOKENS: Final = 2048
_DEVICE_TOKENS: Final = 16384


@dataclass(frozen=True)
class Writing:
    """Settings of continuing texts.

    Attributes:
        new_tokens: the most tokens of a continuation.
        special_tokens: whether the tokenizer adds its own, such as a BOS; a rendered chat template has them.
        batch_tokens: the most tokens of a batch, padding and new tokens included; a longer text is a batch of
            its own. None chooses by the model's device.
    """

    new_tokens: int = 64
    special_tokens: bool = True
    batch_tokens: int | None = None


def generate(  # noqa: PLR0913
    model: Any,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    new_tokens: int = 64,
    advance: Callable[[int], None] = nothing,
    chat: Chat | None = None,
    batch_tokens: int | None = None,
) -> list[str]:
    """Answer every prompt greedily.

    Args:
        model: a causal language model of transformers in eval mode; it and its settings are left as they were.
        tokenizer: the model's; it is left as it was, and needs no padding token.
        prompts: in any order and of any lengths.
        new_tokens: the most tokens of an answer.
        advance: called with every number of prompts answered.
        chat: the tokenizer's chat template, in which a prompt is a user's message; None takes prompts as they are.
        batch_tokens: see :class:`Writing`. In float32 an answer depends on its batch only where two tokens are
            likeliest up to rounding; in lower precisions that happens more often.

    Returns:
        The answers in the order of the prompts, without special tokens.

    Raises:
        NoChatTemplate: the template fails.
        ValueError: a prompt without a token, or ``new_tokens`` below 1.
    """
    writing = Writing(new_tokens, chat is None, batch_tokens)
    return continuations(model, tokenizer, _asked(prompts, chat), writing, advance)


def prompt_tokens(tokenizer: Tokenizer, prompts: Sequence[str], chat: Chat | None) -> list[list[int]]:
    """Return the tokens that :func:`generate` lets the model continue, for another program that does so.

    Raises:
        NoChatTemplate, ValueError: as :func:`generate`.
    """
    return [_tokens(tokenizer, number, text, chat is None) for number, text in enumerate(_asked(prompts, chat))]


def answer_of(tokenizer: Tokenizer, tokens: Sequence[int], ends: Sequence[int]) -> str:
    """Return the text of an answer's tokens up to the first that ends it, without special tokens."""
    # After the first end there is padding, by a token that need not be special.
    until = next((place for place, token in enumerate(tokens) if token in ends), len(tokens))
    # Cleaning up spaces would change what the model wrote, differently from tokenizer to tokenizer.
    text = tokenizer.decode(tokens[:until], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return str(text)


def ends_of(tokenizer: Tokenizer, own: Any) -> list[int]:
    """Return the tokens that end an answer: the EOS, and those of the checkpoint's own settings, often several."""
    found = {*(own if isinstance(own, Sequence) else [own]), tokenizer.eos_token_id}
    return sorted(int(token) for token in found if token is not None)


@torch.inference_mode()
def continuations(
    model: Any, tokenizer: Tokenizer, texts: Sequence[str], writing: Writing, advance: Callable[[int], None]
) -> list[str]:
    """Continue every text greedily, in batches of similar length, padded on the left.

    Arguments, result and errors are those of :func:`generate`, for texts that need no chat template.
    """
    rows = [_tokens(tokenizer, number, text, writing.special_tokens) for number, text in enumerate(texts)]
    positions, longest = input_limits(model).positions, max(map(len, rows), default=0)
    if positions is not None and longest + writing.new_tokens > positions:
        message = (
            f"A prompt of {longest:,} tokens and an answer of {writing.new_tokens:,} are longer together than the "
            f"model's {positions:,} positions."
        )
        raise SpinHubError(message, hint="Ask for shorter answers with --new-tokens, or shorter questions.")
    ends = ends_of(tokenizer, getattr(model.generation_config, "eos_token_id", None))
    written = [""] * len(rows)
    with _greedy(model, tokenizer, ends, writing.new_tokens) as config:
        for places in _batches([len(row) for row in rows], writing, model.device):
            batch = [rows[place] for place in places]
            for place, tokens in zip(places, _continue(model, config, batch), strict=True):
                written[place] = answer_of(tokenizer, tokens, ends)
            advance(len(places))
    return written


def _asked(prompts: Sequence[str], chat: Chat | None) -> Sequence[str]:
    return [chat.prompt(prompt) for prompt in prompts] if chat else prompts


def _tokens(tokenizer: Tokenizer, number: int, text: str, special_tokens: bool) -> list[int]:
    if special_tokens:
        tokens = prompt_ids(tokenizer, text)
    else:
        tokens = list(tokenizer(text, add_special_tokens=False).input_ids)
    if not tokens:
        raise ValueError(f"prompt {number} is empty: it has no token")
    return tokens


def _batches(lengths: Sequence[int], writing: Writing, device: torch.device) -> Iterator[list[int]]:
    """Yield indices of texts of similar length, longest first, so that memory runs out at once or not at all."""
    usual = _CPU_TOKENS if device.type == "cpu" else _DEVICE_TOKENS
    budget = usual if writing.batch_tokens is None else writing.batch_tokens
    waiting: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if waiting and (len(waiting) + 1) * (lengths[waiting[0]] + writing.new_tokens) > budget:
            yield waiting
            waiting = []
        waiting.append(place)
    if waiting:
        yield waiting


@contextmanager
def _greedy(model: Any, tokenizer: Tokenizer, ends: list[int], new_tokens: int) -> Iterator[GenerationConfig]:
    """Yield greedy settings, with the checkpoint's own set aside: transformers would fill every gap from them."""
    pads = [token for token in (tokenizer.pad_token_id, *ends, 0) if token is not None]
    settings = {"max_new_tokens": new_tokens, "eos_token_id": ends or None, "pad_token_id": pads[0]}
    config = GenerationConfig(do_sample=False, num_beams=1, use_cache=True, **settings)
    before = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield config
    finally:
        model.generation_config = before


def _continue(model: Any, config: GenerationConfig, batch: Sequence[Sequence[int]]) -> list[list[int]]:
    longest = max(map(len, batch))
    ids = torch.full((len(batch), longest), config.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(batch):
        ids[row, longest - len(tokens) :] = torch.tensor(tokens)
        mask[row, longest - len(tokens) :] = 1
    out = model.generate(ids.to(model.device), attention_mask=mask.to(model.device), generation_config=config)
    rows: list[list[int]] = out[:, longest:].tolist()
    return rows
