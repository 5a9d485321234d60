"""Comparison of an edit's record and card with the delta beside them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from spin_hub.artifacts.delta_file import NAME as DELTA
from spin_hub.artifacts.verification import Difference, shown
from spin_hub.core.delta import Delta
from spin_hub.core.files import README
from spin_hub.core.json import differences, differing
from spin_hub.core.names import by_layer
from spin_hub.errors import CardFailed, CardRefused
from spin_hub.model_cards.front_matter import decoded
from spin_hub.model_cards.heat_map import HEAT_MAP, is_heat_map, title_of
from spin_hub.model_cards.render import BEGIN, END, OURS, parsed, render_card
from spin_hub.record import NAME as RECORD
from spin_hub.record import Record
from spin_hub.verification.artifact import Artifact
from spin_hub.version import __version__

# The most bytes of a heat map.
_PICTURE: Final = 8 << 20
# The repo id in a card's commands.
_HERE: Final = re.compile(r'from_pretrained\("([^"\s]+)"\)|^spin-hub apply (\S+) ', re.MULTILINE)


def record_rows(artifact: Artifact) -> Iterator[Difference]:
    """Compare the record with the delta."""
    name = f"{artifact.folder}{RECORD}"
    record, delta = artifact.record, artifact.delta
    if record is None:
        if artifact.unreadable:
            yield Difference("record", name, "a record of spin-hub", shown(artifact.unreadable))
        else:
            yield Difference("missing", name, "the record of the edit", "no such file")
        return
    for label, said, true in _claims(artifact, record, delta):
        if said != true:
            yield Difference("record", name, f"{label} {shown(true)}", shown(said))
    for label, recorded, real in _mappings(record, delta):
        odd = differing(real, recorded)
        if odd:
            more = f" (and {len(odd) - 1:,} more)" if len(odd) > 1 else ""
            expected = f"{label} {shown(odd[0])}: {shown(real.get(odd[0], 'none'))}"
            yield Difference("record", name, expected, f"{shown(recorded.get(odd[0], 'none'))}{more}")


def card_rows(artifact: Artifact) -> tuple[list[Difference], list[str]]:
    """Compare the card with the record; return the differences and notes."""
    record, store = artifact.record, artifact.store
    if README not in store.sizes:
        return [Difference("missing", README, "the card", "no such file")], []
    if record is None:
        return [], ["The card was not compared: there is no record to compare it with."]
    # The text of another version's templates may read otherwise; the figures do not.
    same = artifact.tool == f"spin-hub {__version__}"
    try:
        text = decoded(store.whole(README))
        found = list(_card_differences(record, text, store.repo_id, generated=same))
    except UnicodeDecodeError:
        return [Difference("card", README, "text in UTF-8", "something else")], []
    except (CardFailed, CardRefused) as error:
        return [Difference("card", README, "a card as the record gives it", shown(str(error.facts["why"])))], []
    rows = [Difference("card", README, f"{label} {shown(true)}", shown(said)) for label, true, said in found]
    notes = [] if same else [f"The record is of {shown(artifact.tool)}: of the card its figures were compared."]
    drawn, remark = _picture(artifact, record, same)
    return [*rows, *drawn], [*notes, *remark, *_unproven(record)]


def _picture(artifact: Artifact, record: Record, same: bool) -> tuple[list[Difference], list[str]]:
    """Compare the heat map with the one that the delta's own counts give; another version may have drawn another."""
    name, store, delta = f"{artifact.folder}{HEAT_MAP}", artifact.store, artifact.delta
    if name not in store.sizes:
        return [], []
    table = by_layer({tensor: len(edit.indices) for tensor, edit in delta.edits.items()})
    picture = store.whole(name) if store.sizes[name] <= _PICTURE else b""
    equal = is_heat_map(picture, table, title_of(record.model.name, delta.weights))
    if equal:
        return [], []
    if equal is None:
        return [], [f"Of {name} the cells were compared; its lettering is another version's, or was changed."]
    if not same:
        return [], [f"{name} is another picture than this version draws of the delta, and was not compared."]
    return [Difference("card", name, "the map of the delta's weights", "another picture")], []


def _unproven(record: Record) -> list[str]:
    """Name the claims of a record that no bytes prove, and the commands that do."""
    claims = []
    if record.scoring:
        claims.append("that its recipe chooses these weights (`spin-hub reproduce` scores again)")
    if record.search:
        claims.append("how p and q were found")
    if record.evaluation:
        claims.append("what was measured (`spin-hub eval` measures again)")
    if not claims:
        return []
    text = " and ".join(filter(None, (", ".join(claims[:-1]), claims[-1])))
    return [f"Not proved, and taken from {RECORD}: {text}."]


def _card_differences(
    record: Record, card: str, repo_id: str | None, generated: bool = True
) -> Iterator[tuple[str, str, str]]:
    """Yield what a card should say, and what it says instead: a label and two texts.

    Args:
        record: of the edit.
        card: the README.
        repo_id: of its repo; its commands name that, the place that it was pushed to first, or none.
        generated: compare the text too, not only the metadata.

    Raises:
        CardFailed, CardRefused: the card, or the one that the record gives, cannot be read.
    """
    known = parsed(card)
    expected = [parsed(render_card(record, None, here)) for here in _places(card, repo_id)]
    said, true = known.data, expected[0].data
    for key in sorted(OURS):
        for path, expected_value, found in differences(true.get(key), said.get(key), (key,)):
            yield ".".join(path), str(expected_value), str(found)
    if generated:
        mine = _generated(known.text)
        if mine is None:
            yield "the part that spin-hub generates,", "between two marks", "no such part"
        elif mine not in (texts := [_generated(other.text) for other in expected]):
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
    """Return the first line in which two texts differ, from a little before the place."""
    ours, theirs = expected.split("\n"), found.split("\n")
    number = next((n for n, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
    if number is None:
        number = min(len(ours), len(theirs))
    lines = [part[number] if number < len(part) else "" for part in (ours, theirs)]
    same = next((n for n, pair in enumerate(zip(*lines, strict=False)) if pair[0] != pair[1]), 0)
    start = max(same - 20, 0)
    before, after = (repr(line[start:]) for line in lines)
    return before, after


def delta_rows(own: Artifact, given: Delta) -> Iterator[Difference]:
    """Compare the delta in a folder with the one that the user names."""
    name, mine = f"{own.folder}{DELTA}", own.delta
    if mine.base.files != given.base.files:
        words = (f"{base.repo_id or 'local'} {(base.commit or '')[:12]}".strip() for base in (given.base, mine.base))
        expected, found = words
        yield Difference("delta", name, f"of the base {expected}", f"of the base {found}, with other files")
    for tensor in sorted(mine.edits.keys() | given.edits.keys()):
        here, there = mine.edits.get(tensor), given.edits.get(tensor)
        if here is None or there is None:
            words = (f"{len(edit.indices):,} weights of {tensor}" if edit else "none" for edit in (there, here))
            yield Difference("delta", name, *words)
        elif (here.shape, here.dtype) != (there.shape, there.dtype):
            words = (f"{tensor}: {edit.dtype} {list(edit.shape)}" for edit in (there, here))
            yield Difference("delta", name, *words)
        elif here.indices.tobytes() != there.indices.tobytes():
            words = (f"{len(edit.indices):,} weights" for edit in (there, here))
            expected, found = words
            yield Difference("delta", name, f"{tensor}: {expected}", f"{found} at other positions")
        elif here.original.tobytes() != there.original.tobytes():
            yield Difference("delta", name, f"{tensor}: its original values", "others")


def _claims(artifact: Artifact, record: Record, delta: Delta) -> list[tuple[str, Any, Any]]:
    """Return label, recorded value and true value of each fact."""
    result, model = record.result, record.model
    return [
        ("kind", record.kind, artifact.kind),
        ("sha256 of the delta", result.delta_sha256, artifact.delta_sha256),
        ("weights", result.weights, delta.weights),
        ("tensors", result.tensors, len(delta.edits)),
        ("base", model.repo_id, delta.base.repo_id),
        ("commit", model.commit, delta.base.commit),
    ]


def _mappings(record: Record, delta: Delta) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    result = record.result
    return [
        ("weights in", result.counts, {name: len(edit.indices) for name, edit in delta.edits.items()}),
        ("shape of", _lists(result.shapes), _lists({name: edit.shape for name, edit in delta.edits.items()})),
        ("sha256 of the base's", record.model.files, delta.base.files),
        ("method", record.method, delta.method),
    ]


def _lists(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, list[int]]:
    return {name: list(shape) for name, shape in shapes.items()}
