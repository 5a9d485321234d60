"""Tokens of a prompt and its response, and whether a tokenizer keeps the text that it is given."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from typing import Final

from spin_hub.data.chat import Tokenizer
from spin_hub.errors import SpinHubError

_SAMPLE: Final = 2000
"""Characters of a text that are looked at."""
_GAPS: Final = 8
"""The least number of spaces by which a tokenizer is judged."""
_UNKNOWN: Final = 0.03
_KEPT: Final = 0.9
# Letters with which tokens write spaces, where a decoder leaves them as they are.
_SPACES: Final = str.maketrans({"▁": " ", "Ġ": " ", "Ċ": " ", "\u00a0": " "})


def prompt_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the tokens of a prompt, without the EOS with which some tokenizers end every text."""
    ids = list(tokenizer(text).input_ids)
    if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id:
        ids.pop()
    return ids


def joined_ids(tokenizer: Tokenizer, prompt: str, response: str) -> tuple[list[int], int]:
    """Tokenise a rendered prompt and its response as one text.

    Returns:
        The tokens, without any that the tokenizer adds by itself, and the index of the first one that is not wholly of
        the prompt.
    """
    if not tokenizer.is_fast:
        # Without offsets, the response begins where the tokens differ from those of the prompt alone.
        ids, alone = (list(tokenizer(text, add_special_tokens=False).input_ids) for text in (prompt + response, prompt))
        same = [one == other for one, other in zip(ids, alone, strict=False)]
        return ids, same.index(False) if False in same else len(same)
    encoded = tokenizer(prompt + response, add_special_tokens=False, return_offsets_mapping=True)
    return list(encoded.input_ids), sum(1 for _, end in encoded.offset_mapping if end <= len(prompt))


def check_round_trip(tokenizer: Tokenizer, texts: Iterable[str]) -> list[str]:
    """Compare a sample of texts with what their tokens decode to.

    What tokenizers rightly change does not count: case, accents, the width of characters, and how wide a space is.

    Returns:
        Sentences on characters and words that the model will not see.

    Raises:
        SpinHubError: the tokens have lost the spaces between words.
    """
    gaps = kept_gaps = tokens = unknown = 0
    letters, kept = Counter[str](), Counter[str]()
    for text in (text[:_SAMPLE] for text in texts):
        ids = list(tokenizer(text, add_special_tokens=False).input_ids)
        again = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        gaps += len(text.split()) - 1
        kept_gaps += len(again.translate(_SPACES).split()) - 1
        tokens += len(ids)
        unknown += 0 if tokenizer.unk_token_id is None else ids.count(tokenizer.unk_token_id)
        before, after = _letters(text), _letters(again)
        letters += before
        kept += before & after
    name, library = type(tokenizer).__name__, f"transformers {version('transformers')}"
    if gaps >= _GAPS and kept_gaps < gaps / 2:
        raise SpinHubError(
            message=f"The tokenizer, {name} under {library}, loses the spaces between words: of {gaps:,} in a "
            f"sample of the text, its tokens have {max(kept_gaps, 0):,}.",
            hint="Use another version of transformers, such as the one that the model's card names.",
        )
    if tokens and unknown / tokens > _UNKNOWN:
        return [f"{unknown / tokens:.0%} of the text's tokens are unknown to the tokenizer ({name})."]
    if letters and kept.total() / letters.total() < _KEPT:
        lost = 1 - kept.total() / letters.total()
        return [f"The tokenizer ({name} under {library}) loses {lost:.0%} of the text's letters and digits."]
    return []


def _letters(text: str) -> Counter[str]:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return Counter(character for character in plain if character.isalnum())
