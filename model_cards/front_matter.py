"""A README from a stranger as a card: its metadata bounded before they are built, and read as plain values only."""

import re
from typing import Final

import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard import REGEX_YAML_BLOCK

_LARGEST: Final = 512 << 10
_DEEPEST: Final = 64
_DIGITS: Final = 100
# YAML 1.1 has numbers to the base of 60, 1:30:00, whose value takes a time that grows with the square of their length.
_NUMBER: Final = re.compile(r"[-+]?(?:0[xb][0-9a-fA-F_]+|[0-9_:.]+)")
_STARTS: Final = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_ENDS: Final = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def card_of(text: str) -> ModelCard:
    """A README with its metadata; YAML tags make no objects.

    Raises:
        ValueError: the metadata are no YAML, no object, or refused: too long, too deep, or with aliases, which stand
            for values many times their length.
    """
    try:
        _check(text)
        return ModelCard(text, ignore_metadata_errors=True)
    except (TypeError, AttributeError, KeyError, OverflowError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(str(error).strip() or type(error).__name__) from error


def _check(text: str) -> None:
    block = REGEX_YAML_BLOCK.search(text)
    if block is None:
        return
    if len(block.group(2)) > _LARGEST:
        raise ValueError(f"they are longer than {_LARGEST:,} characters")
    depth = 0
    for event in yaml.parse(block.group(2), Loader=yaml.SafeLoader):
        depth += isinstance(event, _STARTS) - isinstance(event, _ENDS)
        if depth > _DEEPEST:
            raise ValueError("they are nested too deeply")
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("they have an alias (*name)")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > _DIGITS and _NUMBER.fullmatch(event.value):
            raise ValueError(f"they have a number of more than {_DIGITS} digits")
