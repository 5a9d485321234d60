"""What the Hub reads out of a repo's card and files: its metadata, tags and library."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

FRONT = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)(?:\r?\n)?^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
ARXIV = re.compile(r"arxiv\.org/(?:abs|pdf)/(\d{4}\.\d{4,5})")


def front_matter(text: str) -> Any:
    """The card's metadata, None without any.

    Raises:
        yaml.YAMLError: the metadata are no YAML.
    """
    match = FRONT.search(text)
    return yaml.safe_load(match[1]) if match else None


def metadata(text: str) -> dict[str, Any]:
    """The metadata of a card that is in a repo, whatever its state."""
    try:
        found = front_matter(text)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def many(value: Any) -> list[str]:
    """A value that a card may give alone or as a list."""
    return [str(entry) for entry in value] if isinstance(value, list) else [str(value)] if value else []


def describe(names: Iterable[str], read: Callable[[str], bytes]) -> dict[str, Any]:
    """The parts of a repo's page that come from its files.

    Args:
        names: all files.
        read: gives the content of one.
    """
    names = list(names)
    text = read("README.md").decode("utf-8", "replace") if "README.md" in names else ""
    card = metadata(text)
    config = _config(names, read)
    library = card.get("library_name") or ("transformers" if "model_type" in config else None)
    tags = [
        *many(library),
        *(["safetensors"] if any(name.endswith(".safetensors") for name in names) else []),
        *many(config.get("model_type")),
        *many(card.get("pipeline_tag")),
        *many(card.get("tags")),
        *many(card.get("language")),
        *(f"dataset:{name}" for name in many(card.get("datasets"))),
        *(f"arxiv:{paper}" for paper in ARXIV.findall(text)),
        *_base_models(card, names),
        *(f"license:{name}" for name in many(card.get("license"))),
        "region:us",
    ]
    return {
        "tags": list(dict.fromkeys(tags)),
        "cardData": card or None,
        "library_name": library,
        "pipeline_tag": card.get("pipeline_tag"),
        "config": config or None,
    }


def _config(names: list[str], read: Callable[[str], bytes]) -> dict[str, Any]:
    if "config.json" not in names:
        return {}
    try:
        config = json.loads(read("config.json"))
    except ValueError:
        return {}
    return {key: config[key] for key in ("architectures", "model_type") if key in config}


def _base_models(card: Mapping[str, Any], names: list[str]) -> list[str]:
    """The tags of a model's ancestors; the relation is guessed where the card has none."""
    bases = many(card.get("base_model"))
    relation = card.get("base_model_relation")
    if not relation:
        relation = "finetune" if len(bases) == 1 else "merge"
        relation = "adapter" if "adapter_config.json" in names else relation
        relation = "quantized" if any(name.endswith(".gguf") for name in names) else relation
    plain = [f"base_model:{base}" for base in bases]
    return plain + [f"base_model:{relation}:{base}" for base in bases]
