"""Terms of some base licences for derivatives; a reminder, not legal advice."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_NAME: Final = re.compile(r"llama[\s\-_]*(\d(?:\.\d)?)?")


@dataclass(frozen=True)
class Terms:
    """The requirements of a family of licences.

    Attributes:
        note: a sentence for the card.
        prefix: with which a derivative's name must begin, or nothing.
        notice: the text of the notice file that must go along, or nothing.
    """

    note: str
    prefix: str = ""
    notice: str = ""


_LLAMA_2: Final = Terms(
    note="The base's Llama 2 licence asks that the licence and its notice go along with the weights.",
    notice=(
        "Llama 2 is licensed under the LLAMA 2 Community License, Copyright (c) Meta Platforms, Inc. "
        "All Rights Reserved.\n"
    ),
)
_GEMMA: Final = Terms(
    note="The base's Gemma terms of use hold for this model too and must be passed on with it.",
    notice="Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms\n",
)


def terms_of(card: Mapping[str, Any]) -> Terms | None:
    """Return what the base's licence asks for, or None if this table has nothing on it.

    Args:
        card: what the base's own card says; ``license`` and ``license_name`` are read.
    """
    said = f"{card.get('license', '')} {card.get('license_name', '')}".lower()
    if "gemma" in said:
        return _GEMMA
    found = _NAME.search(said)
    if found is None:
        return None
    version = found[1] or ""
    return _LLAMA_2 if version == "2" else _llama(version)


def _llama(version: str) -> Terms:
    # Version 3 asks for its number in the name, the later ones for the family's name alone.
    prefix = "Llama 3" if version == "3" else "Llama"
    name = f"{'Meta ' if version == '3' else ''}Llama {version}".strip()
    return Terms(
        note=(
            f"Built with {'Meta Llama 3' if version == '3' else 'Llama'}. The base's licence asks that a derivative's "
            f"name begins with '{prefix}', that this line is shown, and that the licence and its notice file go along."
        ),
        prefix=prefix.replace(" ", "-"),
        notice=(
            f"{name} is licensed under the {name} Community License, Copyright © Meta Platforms, Inc. "
            "All Rights Reserved.\n"
        ),
    )


def derived_name(base: str, card: Mapping[str, Any], suffix: str) -> str:
    """Return the name of a derivative: the base's with a suffix, begun as the base's licence asks."""
    terms = terms_of(card)
    prefix = terms.prefix if terms else ""
    if not prefix or base.startswith(prefix):
        return base + suffix
    stripped = base.removeprefix("Meta-")
    return (stripped if stripped.startswith(prefix) else f"{prefix}-{base}") + suffix
