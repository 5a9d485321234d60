"""What an edited model's card inherits from its base's card."""

from typing import Any, Final

from spin_hub.model_cards.front_matter import card_of

INHERITED: Final = ("license", "license_name", "license_link", "language", "pipeline_tag")


def read_base_card(text: str) -> dict[str, Any]:
    """The fields of a card that an edited model inherits; empty where its metadata cannot be read.

    A card is a person's text: one that does not parse says nothing of the licence, and nothing is invented.
    """
    try:
        data = card_of(text).data.to_dict()
    except ValueError:
        return {}
    return {name: data[name] for name in INHERITED if _is_text(data.get(name))}


def _is_text(value: Any) -> bool:
    """Whether a value is a text or a list of texts, as all that is inherited must be; YAML also has dates and trees."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(entry, str) for entry in value))
