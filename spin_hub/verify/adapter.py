"""An adapter's own files against those that its delta gives, made again beside them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from spin_hub.artifacts.base_model import open_headers
from spin_hub.artifacts.verification import Difference, Store, shown
from spin_hub.checkpoint.digests import sha256
from spin_hub.checkpoint.header import Header, TensorSpan, header_size, parse_header
from spin_hub.core.files import SPIN
from spin_hub.core.strict_json import parse
from spin_hub.errors import AdapterRefused, CorruptFile
from spin_hub.exports.config import CONFIG, WEIGHTS
from spin_hub.exports.write import AdapterOptions, Form, Made, about, made_from, write_own_config, write_own_tensors
from spin_hub.record import NAME, Record
from spin_hub.verify.artifact import Subject

FILES: Final = (CONFIG, WEIGHTS)
_RECORD: Final = f"{SPIN}/{NAME}"
_FORMS: Final[Mapping[str, Form]] = {"peft": "peft", "lora": "lora"}
_VERSION: Final = "peft_version"
_REQUIRED: Final = frozenset(
    {"peft_type", "task_type", "base_model_name_or_path", "revision", "target_modules", "inference_mode"}
)
"""Fields of a config without which another adapter is loaded; its kind's own come on top."""
_ABSENT: Final = object()
_ROOM: Final = 1 << 20
_HEADER: Final = 512
"""Bytes by which a file may be larger than its tensors: in all, and for each."""


def adapter_rows(subject: Subject, base: str) -> list[Difference]:
    """Where the config and the tensors of an adapter are not those of its delta.

    Args:
        subject: an adapter.
        base: its base: a folder or a Hub id, of which config and headers are read.

    Raises:
        MissingDependency, PeftTooOld: PEFT is not installed, or lacks the type.
        SpinHubError: the base cannot be had, or not be built without its own code.
    """
    record = subject.record
    if record is None or record.kind not in _FORMS:
        return []
    try:
        made = _made(record, subject, base)
    except AdapterRefused as error:
        return [Difference("adapter", WEIGHTS, "an adapter of the delta", error.message)]
    with TemporaryDirectory(prefix="spin-hub-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        return [
            *_told(record, made), *_config(subject.store, made, record, folder), *_weights(subject.store, made, folder)
        ]  # fmt: skip


def _made(record: Record, subject: Subject, base: str) -> Made:
    told = record.adapter or {}
    form = _FORMS[record.kind]
    options = AdapterOptions(
        form=form,
        peft_type="shira" if form == "peft" and told.get("type") == "SHIRA" else None,
        all_layers=form == "lora" and told.get("all_layers") is True,
    )
    return made_from(options, subject.delta, open_headers(base))


def _told(record: Record, made: Made) -> Iterator[Difference]:
    """Where the record says something else of the adapter; how it behaves unmerged was measured, not computed."""
    told = record.adapter or {}
    for name, true in about(made, None).items():
        if name != "unmerged" and told.get(name) != true:
            yield Difference("record", _RECORD, f"{name} {shown(true)}", shown(told.get(name, "none")))
    # Loaders take the base that the config names; that of a local base is a word for people.
    if record.model.repo_id is None and "/" in record.model.name:
        yield Difference("record", _RECORD, "the name of a folder", shown(record.model.name))


def _config(store: Store, made: Made, record: Record, folder: Path) -> Iterator[Difference]:
    if CONFIG not in store.sizes:
        yield Difference("missing", CONFIG, "the adapter's config", "no such file")
        return
    write_own_config(folder, made, record.model)
    raw = (folder / CONFIG).read_bytes()
    if store.sizes[CONFIG] > len(raw) + _ROOM:
        yield Difference("adapter", CONFIG, "a config of PEFT", f"{store.sizes[CONFIG]:,} bytes")
        return
    ours = parse(raw)
    try:
        theirs = parse(store.whole(CONFIG))
        if not isinstance(theirs, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        yield Difference("adapter", CONFIG, "a config of PEFT", shown(error))
        return
    same_version = ours.pop(_VERSION, None) == theirs.pop(_VERSION, None)
    for name in sorted(ours.keys() | theirs.keys()):
        here, there = ours.get(name, _ABSENT), theirs.get(name, _ABSENT)
        # Another version of PEFT has other fields, of which those that are not the adapter's own have defaults.
        unknown = there is _ABSENT and not same_version and name not in _REQUIRED | made.adapter.settings.keys()
        if here != there and not unknown and (here is not _ABSENT or there):
            yield Difference("adapter", CONFIG, f"{shown(name)} {_said(here)}", _said(there))


def _weights(store: Store, made: Made, folder: Path) -> Iterator[Difference]:
    if WEIGHTS not in store.sizes:
        yield Difference("missing", WEIGHTS, "the adapter's tensors", "no such file")
        return
    # Before anything is made of the size that a stranger's record asks for.
    size, own = store.sizes[WEIGHTS], made.adapter.bytes
    if not own <= size <= own + _ROOM + _HEADER * len(made.adapter.layouts):
        yield Difference("adapter", WEIGHTS, f"{own:,} bytes of tensors", f"{size:,} bytes")
        return
    write_own_tensors(folder, made)
    expected = folder / WEIGHTS
    if store.sha256(WEIGHTS) == sha256(expected, lambda _: None):
        return
    try:
        found, known = store.whole(WEIGHTS), expected.read_bytes()
        differing = [*_tensors((_header(found), found), (_header(known), known))]
    except CorruptFile as error:
        yield Difference("adapter", WEIGHTS, "the adapter's tensors", shown(error.facts["why"]))
        return
    # Equal tensors under another header load alike.
    more = f" (and {len(differing) - 1:,} more)" if len(differing) > 1 else ""
    for wanted, there in differing[:1]:
        yield Difference("adapter", WEIGHTS, wanted, f"{there}{more}")


def _tensors(found: tuple[Header, bytes], known: tuple[Header, bytes]) -> Iterator[tuple[str, str]]:
    """Of every tensor that is another one: what it should be, and what it is."""
    spans, own = found[0].spans, known[0].spans
    for name in sorted(spans.keys() | own.keys()):
        here, there = own.get(name), spans.get(name)
        if here is None or there is None:
            yield (shown(name) if here else "no such tensor"), (shown(name) if there else "no such tensor")
        elif (here.dtype, here.shape) != (there.dtype, there.shape):
            yield f"{name} {_layout(here)}", _layout(there)
        elif found[1][there.start :][: there.nbytes] != known[1][here.start :][: here.nbytes]:
            yield f"{name} as the delta gives it", "other values"


def _header(data: bytes) -> Header:
    return parse_header(WEIGHTS, data[: header_size(WEIGHTS, data, len(data))], len(data))


def _layout(span: TensorSpan) -> str:
    return f"{span.dtype} {list(span.shape)}"


def _said(value: Any) -> str:
    return "no such field" if value is _ABSENT else shown(value)
