"""Cards taken apart and put together, and before the Hub's own validator, which else refuses them at the very end."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard
from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

from spin_hub.core.contents import README
from spin_hub.errors import CardRefused, HubSilent, NotPushable
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


def read_card(folder: Path) -> str | None:
    """The text of a folder's README, where there is one.

    Raises:
        NotPushable: it is no text.
    """
    try:
        return (folder / README).read_text("utf-8") if (folder / README).is_file() else None
    except UnicodeDecodeError as error:
        raise NotPushable(path=folder, why=f"its {README} is no text in UTF-8") from error


def parts_of(card: str) -> tuple[dict[str, Any], str]:
    """The metadata and the text of a card that can be parsed."""
    parsed = ModelCard(card, ignore_metadata_errors=True)
    return dict(parsed.data.to_dict()), str(parsed.text)


def card_of(metadata: Mapping[str, Any], text: str) -> str:
    """A card of metadata and a text, the reverse of :func:`parts_of`."""
    return f"---\n{yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True)}---\n{text}"


def _said(answer: str) -> str:
    try:
        errors = json.loads(answer)["errors"]
        return "; ".join(str(entry["message"]).strip() for entry in errors).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return (answer.strip().splitlines() or ["no reason given"])[0].rstrip(".")
