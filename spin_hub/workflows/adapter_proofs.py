"""An adapter's own files against those that its delta gives, made again beside them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from spin_hub.adapters.config import CONFIG, WEIGHTS, config_class
from spin_hub.checkpoint.digest import sha256
from spin_hub.core.identity import Identity
from spin_hub.errors.adapters import AdapterRefused
from spin_hub.errors.base import SpinHubError
from spin_hub.errors.models import CorruptFile
from spin_hub.header import Header, TensorSpan, header_size, parse_header
from spin_hub.record import Record
from spin_hub.strict_json import parse
from spin_hub.workflows.adapter import AdapterOptions, Form, Made, about, made_from, write_files
from spin_hub.workflows.base import open_headers
from spin_hub.workflows.subject import Subject
from spin_hub.workflows.verification import Difference, Store

FILES: Final = (CONFIG, WEIGHTS)
_FORMS: Final[Mapping[str, Form]] = {"peft": "peft", "lora": "lora"}
_VERSION: Final = "peft_version"
_SHOWN: Final = 60
_ROOM: Final = 1 << 20
"""Bytes by which a file may be larger than its like before it is not even read."""


def adapter_rows(subject: Subject, base: str) -> tuple[list[Difference], list[str]]:
    """Where the config and the tensors of an adapter are not those of its delta, and what could not be compared.

    Args:
        subject: an adapter.
        base: its base: a folder or a Hub id, of which config and headers are read.
    """
    record = subject.record
    if record is None or record.kind not in _FORMS:
        return [], []
    try:
        made = _made(record, subject, base)
    except AdapterRefused as error:
        return [Difference("adapter", WEIGHTS, "an adapter of the delta", error.message)], []
    except SpinHubError as error:
        return [], [f"The adapter's own tensors were not compared. {error.message}"]
    rows = [*_told(record, made)]
    with TemporaryDirectory(prefix="spin-hub-") as place:
        folder = Path(place)
        write_files(folder, made, record.model)
        return [*rows, *_config(subject.store, folder / CONFIG), *_weights(subject.store, folder / WEIGHTS)], []


def _made(record: Record, subject: Subject, base: str) -> Made:
    told = record.adapter or {}
    form = _FORMS[record.kind]
    options = AdapterOptions(
        form=form,
        peft_type="shira" if form == "peft" and told.get("type") == "SHIRA" else None,
        all_layers=form == "lora" and told.get("all_layers") is True,
    )
    config_class(options.type)
    return made_from(options, subject.delta, open_headers(base))


def _told(record: Record, made: Made) -> Iterator[Difference]:
    """Where the record says something else of the adapter; how it behaves unmerged was measured, not computed."""
    told = record.adapter or {}
    for name, true in about(made, None).items():
        if name != "unmerged" and told.get(name) != true:
            yield Difference("record", "spin/spin.json", f"{name} {_short(true)}", _short(told.get(name, "none")))


def _config(store: Store, expected: Path) -> Iterator[Difference]:
    if CONFIG not in store.sizes:
        yield Difference("missing", CONFIG, "the adapter's config", "no such file")
        return
    if _too_large(store, CONFIG, expected):
        yield Difference("adapter", CONFIG, "a config of PEFT", f"{store.sizes[CONFIG]:,} bytes")
        return
    ours = parse(expected.read_bytes())
    try:
        theirs = parse(store.whole(CONFIG))
        if not isinstance(theirs, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        yield Difference("adapter", CONFIG, "a config of PEFT", _short(error))
        return
    # Another version of PEFT knows other fields; those that both have must be the same.
    same_version = ours.pop(_VERSION, None) == theirs.pop(_VERSION, None)
    names = ours.keys() | theirs.keys() if same_version else ours.keys() & theirs.keys()
    for name in sorted(names):
        here, there = ours.get(name, "none"), theirs.get(name, "none")
        if here != there:
            yield Difference("adapter", CONFIG, f"{_short(name)} {_short(here)}", _short(there))


def _weights(store: Store, expected: Path) -> Iterator[Difference]:
    if WEIGHTS not in store.sizes:
        yield Difference("missing", WEIGHTS, "the adapter's tensors", "no such file")
        return
    ours = Identity(expected.stat().st_size, sha256(expected, lambda _: None))
    if _too_large(store, WEIGHTS, expected):
        yield Difference("adapter", WEIGHTS, ours.text, f"{store.sizes[WEIGHTS]:,} bytes")
        return
    theirs = store.known(WEIGHTS)
    if (theirs if theirs.sha256 else store.identity(WEIGHTS)).same_as(ours):
        return
    try:
        found, known = store.whole(WEIGHTS), expected.read_bytes()
        differing = [*_tensors((_header(found), found), (_header(known), known))]
    except CorruptFile as error:
        yield Difference("adapter", WEIGHTS, ours.text, _short(str(error.facts["why"])))
        return
    # Equal tensors under another header load alike.
    more = f" (and {len(differing) - 1:,} more)" if len(differing) > 1 else ""
    for expected_text, found_text in differing[:1]:
        yield Difference("adapter", WEIGHTS, expected_text, f"{found_text}{more}")


def _tensors(found: tuple[Header, bytes], known: tuple[Header, bytes]) -> Iterator[tuple[str, str]]:
    """Of every tensor that is another one: what it should be, and what it is."""
    spans, own = found[0].spans, known[0].spans
    for name in sorted(spans.keys() | own.keys()):
        here, there = own.get(name), spans.get(name)
        if here is None or there is None:
            yield (_short(name) if here else "no such tensor"), (_short(name) if there else "no such tensor")
        elif (here.dtype, here.shape) != (there.dtype, there.shape):
            yield f"{name} {_layout(here)}", _layout(there)
        elif found[1][there.start :][: there.nbytes] != known[1][here.start :][: here.nbytes]:
            yield f"{name} as the delta gives it", "other values"


def _too_large(store: Store, name: str, like: Path) -> bool:
    """Whether a file is far larger than what it should be."""
    return store.sizes[name] > like.stat().st_size + _ROOM


def _header(data: bytes) -> Header:
    return parse_header(WEIGHTS, data[: header_size(WEIGHTS, data, len(data))], len(data))


def _layout(span: TensorSpan) -> str:
    return f"{span.dtype} {list(span.shape)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
