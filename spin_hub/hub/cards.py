"""A card before the Hub's own validator, which else refuses it at the very end."""

import json

from huggingface_hub import ModelCard
from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

from spin_hub.errors import CardRefused, HubSilent
from spin_hub.hub.reasons import reason


def validate_card(text: str) -> None:
    """Asks the Hub whether it would accept a card.

    Raises:
        CardRefused: it would not; with the validator's words.
        HubSilent: no answer.
    """
    try:
        ModelCard(text, ignore_metadata_errors=True).validate("model")
    except (OfflineModeIsEnabled, HTTPError, OSError) as error:
        raise HubSilent(what="whether the card is valid", why=reason(error, "model")) from error
    except ValueError as error:
        raise CardRefused(why=_said(str(error))) from error


def _said(answer: str) -> str:
    try:
        errors = json.loads(answer)["errors"]
        return "; ".join(str(entry["message"]).strip() for entry in errors).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return (answer.strip().splitlines() or ["no reason given"])[0].rstrip(".")
