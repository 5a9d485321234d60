"""An adapter's own files, compared with those that are made again from its delta."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from spin_hub.artifacts.verification import Difference, shown
from spin_hub.checkpoint.digests import sha256
from spin_hub.checkpoint.header import Header, TensorSpan, header_size, parse_header
from spin_hub.checkpoint.store import FileStore
from spin_hub.core.files import SPIN
from spin_hub.core.json import parse
from spin_hub.errors import CorruptFile
from spin_hub.exports.adapter import CONFIG, WEIGHTS, Adapter, write_config, write_weights
from spin_hub.record import NAME, Record

_RECORD: Final = f"{SPIN}/{NAME}"
_VERSION: Final = "peft_version"
_REQUIRED: Final = frozenset(
    {"peft_type", "task_type", "base_model_name_or_path", "revision", "target_modules", "inference_mode"}
)
"""Fields of a config without which another adapter is loaded; its kind's own come on top."""
_ABSENT: Final = object()
_ROOM: Final = 1 << 20
_HEADER: Final = 512
"""Bytes by which a file may be larger than its tensors: in all, and for each."""


def adapter_rows(adapter: Adapter, about: Mapping[str, Any], record: Record, store: FileStore) -> list[Difference]:
    """Return where the config and the tensors of an adapter are not those of its delta.

    Args:
        adapter: made from the delta.
        about: what a record says of that one.
        record: that of the files.
        store: the files.
    """
    with TemporaryDirectory(prefix="spin-hub-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        return [
            *_recorded(record, about), *_config(store, adapter, record, folder), *_weights(store, adapter, folder)
        ]  # fmt: skip


def _recorded(record: Record, about: Mapping[str, Any]) -> Iterator[Difference]:
    said = record.adapter or {}
    for name, true in about.items():
        # How it behaves unmerged was measured, not computed.
        if name != "unmerged" and said.get(name) != true:
            yield Difference("record", _RECORD, f"{name} {shown(true)}", shown(said.get(name, "none")))
    # Loaders take the base that the config names; that of a local base only informs the reader.
    if record.model.repo_id is None and "/" in record.model.name:
        yield Difference("record", _RECORD, "the name of a folder", shown(record.model.name))


def _config(store: FileStore, adapter: Adapter, record: Record, folder: Path) -> Iterator[Difference]:
    if CONFIG not in store.sizes:
        yield Difference("missing", CONFIG, "the adapter's config", "no such file")
        return
    write_config(folder, adapter, record.model.repo_id or record.model.name, record.model.commit)
    raw = (folder / CONFIG).read_bytes()
    if store.sizes[CONFIG] > len(raw) + _ROOM:
        yield Difference("adapter", CONFIG, "a config of PEFT", f"{store.sizes[CONFIG]:,} bytes")
        return
    ours = parse(raw)
    try:
        theirs = parse(store.whole(CONFIG))
        if not isinstance(theirs, dict):
            raise ValueError("it is not an object")
    except ValueError as error:
        yield Difference("adapter", CONFIG, "a config of PEFT", shown(error))
        return
    same_version = ours.pop(_VERSION, None) == theirs.pop(_VERSION, None)
    for name in sorted(ours.keys() | theirs.keys()):
        expected, actual = ours.get(name, _ABSENT), theirs.get(name, _ABSENT)
        # Another version of PEFT has other fields, of which those that are not the adapter's own have defaults.
        unknown = actual is _ABSENT and not same_version and name not in _REQUIRED | adapter.settings.keys()
        if expected != actual and not unknown and (expected is not _ABSENT or actual):
            yield Difference("adapter", CONFIG, f"{shown(name)} {_said(expected)}", _said(actual))


def _weights(store: FileStore, adapter: Adapter, folder: Path) -> Iterator[Difference]:
    if WEIGHTS not in store.sizes:
        yield Difference("missing", WEIGHTS, "the adapter's tensors", "no such file")
        return
    # Before anything of the size that an untrusted record asks for is made.
    size, own = store.sizes[WEIGHTS], adapter.bytes
    if not own <= size <= own + _ROOM + _HEADER * len(adapter.layouts):
        yield Difference("adapter", WEIGHTS, f"{own:,} bytes of tensors", f"{size:,} bytes")
        return
    write_weights(folder, adapter)
    expected = folder / WEIGHTS
    if store.sha256(WEIGHTS) == sha256(expected):
        return
    try:
        found, known = store.whole(WEIGHTS), expected.read_bytes()
        differing = [*_tensors((_header(found), found), (_header(known), known))]
    except CorruptFile as error:
        yield Difference("adapter", WEIGHTS, "the adapter's tensors", shown(error.facts["why"]))
        return
    # Equal tensors under another header load alike.
    more = f" (and {len(differing) - 1:,} more)" if len(differing) > 1 else ""
    for wanted, actual in differing[:1]:
        yield Difference("adapter", WEIGHTS, wanted, f"{actual}{more}")


def _tensors(found: tuple[Header, bytes], known: tuple[Header, bytes]) -> Iterator[tuple[str, str]]:
    """Of every tensor that is another one: what it should be, and what it is."""
    spans, own = found[0].spans, known[0].spans
    for name in sorted(spans.keys() | own.keys()):
        expected, actual = own.get(name), spans.get(name)
        if expected is None or actual is None:
            yield (shown(name) if expected else "no such tensor"), (shown(name) if actual else "no such tensor")
        elif (expected.dtype, expected.shape) != (actual.dtype, actual.shape):
            yield f"{name} {_layout(expected)}", _layout(actual)
        elif found[1][actual.start :][: actual.nbytes] != known[1][expected.start :][: expected.nbytes]:
            yield f"{name} as the delta gives it", "other values"


def _header(data: bytes) -> Header:
    return parse_header(WEIGHTS, data[: header_size(WEIGHTS, data, len(data))], len(data))


def _layout(span: TensorSpan) -> str:
    return f"{span.dtype} {list(span.shape)}"


def _said(value: Any) -> str:
    return "no such field" if value is _ABSENT else shown(value)
