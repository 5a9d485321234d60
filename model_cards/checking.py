"""Whether a card says what the record gives; what a person wrote around the generated part does not count."""

import re
from collections.abc import Iterator
from typing import Final

from spin_hub.core.json import differences
from spin_hub.model_cards.metadata import OURS
from spin_hub.model_cards.render import BEGIN, END, parsed, render_card
from spin_hub.record import Record

_HERE: Final = re.compile(r'from_pretrained\("([^"\s]+)"\)|^spin-hub apply (\S+) ', re.MULTILINE)


def card_differences(
    record: Record, card: str, repo_id: str | None, generated: bool = True
) -> Iterator[tuple[str, str, str]]:
    """What a card should say, and what it says instead: a label and two texts.

    Args:
        record: of the edit.
        card: the README.
        repo_id: where it stands on the Hub; its commands name that, the place that it was pushed to first, or none.
        generated: whether the text counts, beside the metadata.

    Raises:
        CardFailed, CardRefused: the card, or the one that the record gives, cannot be made sense of.
    """
    known = parsed(card)
    expected = [parsed(render_card(record, None, here)) for here in _places(card, repo_id)]
    told, true = known.data.to_dict(), expected[0].data.to_dict()
    for key in sorted(OURS):
        for path, expected_value, found in differences(true.get(key), told.get(key), (key,)):
            yield ".".join(path), str(expected_value), str(found)
    if generated:
        mine = _generated(str(known.text))
        if mine is None:
            yield "the part that spin-hub generates,", "between two marks", "no such part"
        elif mine not in (texts := [_generated(str(other.text)) for other in expected]):
            yield "the line", *_first_difference(texts[-1] or "", mine)


def _places(card: str, repo_id: str | None) -> list[str | None]:
    named = _HERE.search(card)
    said = (named[1] or named[2]) if named else None
    own = said if said and re.fullmatch(r"[\w.-]+/[\w.-]+", said) else None
    return list(dict.fromkeys([None, repo_id, own]))


def _generated(text: str) -> str | None:
    _, mark, rest = text.partition(BEGIN)
    part, end, _ = rest.partition(END)
    return part.strip() if mark and end else None


def _first_difference(expected: str, found: str) -> tuple[str, str]:
    """The first line in which two texts differ, from a little before the place."""
    ours, theirs = expected.split("\n"), found.split("\n")
    number = next((n for n, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
    if number is None:
        number = min(len(ours), len(theirs))
    lines = [part[number] if number < len(part) else "" for part in (ours, theirs)]
    same = next((n for n, pair in enumerate(zip(*lines, strict=False)) if pair[0] != pair[1]), 0)
    start = max(same - 20, 0)
    before, after = (repr(line[start:]) for line in lines)
    return before, after
