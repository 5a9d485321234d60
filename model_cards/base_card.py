"""What an edited model's card inherits from its base's card."""

from typing import Any, Final

import yaml
from huggingface_hub import ModelCard

INHERITED: Final = ("license", "license_name", "license_link", "language", "pipeline_tag")


def read_base_card(text: str) -> dict[str, Any]:
    """The fields of a card that an edited model inherits; empty where its metadata cannot be read.

    A card is a person's text: one that does not parse says nothing of the licence, and nothing is invented.
    """
    try:
        data = ModelCard(text, ignore_metadata_errors=True).data.to_dict()
    except (ValueError, TypeError, yaml.YAMLError):
        return {}
    return {name: data[name] for name in INHERITED if data.get(name) is not None}
