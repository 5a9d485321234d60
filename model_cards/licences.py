"""What some base licences ask of a derivative; a reminder for people, not legal advice."""

from collections.abc import Mapping
from typing import Any, Final

_LLAMA: Final = (
    "Built with Llama. The base's licence asks that a derivative's name begins with 'Llama', that 'Built with Llama' "
    "is shown, and that the licence and its notice file go along with the weights."
)
_GEMMA: Final = "The base's Gemma terms of use hold for this model too and must be passed on with it."


def licence_notes(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Sentences that a card owes to the base's licence.

    Args:
        card: what the base's own card says; ``license`` and ``license_name`` are read.
    """
    said = f"{card.get('license', '')} {card.get('license_name', '')}".lower()
    notes = []
    if "llama" in said:
        notes.append(_LLAMA)
    if "gemma" in said:
        notes.append(_GEMMA)
    return tuple(notes)
