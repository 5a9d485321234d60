"""The header of a safetensors file: where every tensor's bytes lie, checked before anything relies on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spin_hub.checkpoint.lfs import is_pointer
from spin_hub.core.dtypes import BITS, elements
from spin_hub.core.json import parse
from spin_hub.errors import CorruptFile, LfsPointer

_LARGEST_HEADER: Final = 100_000_000  # the limit of the safetensors library itself
START: Final = 1024
"""Bytes of a file to read at first: a Git LFS pointer is shorter."""


@dataclass(frozen=True)
class TensorSpan:
    """One tensor in a file: its safetensors dtype code, its shape, and where its bytes are.

    Attributes:
        start: the offset of the first byte from the beginning of the *file*.
        nbytes: the number of bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    nbytes: int


@dataclass(frozen=True)
class Header:
    """Tensor name -> span in the order of the bytes, and the file's own metadata."""

    spans: Mapping[str, TensorSpan]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """Read and check the header of a safetensors file.

    The tensors must lie one after another without a gap and fill the file exactly, each with as many bytes as
    its shape and type need; so a truncated or lengthened file is found without reading its values.

    Raises:
        CorruptFile: naming what is wrong.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(START)
        end = header_size(path, start, size)
        return parse_header(path, start[:end] + file.read(max(end - len(start), 0)), size)


def header_size(path: str | Path, start: bytes, size: int) -> int:
    """The place at which the tensors begin in a file.

    Args:
        path: for messages.
        start: the first eight bytes of the file or more.
        size: of the whole file.

    Raises:
        LfsPointer: the file is a Git LFS pointer.
        CorruptFile: the file cannot hold such a header.
    """
    if size == len(start) and is_pointer(start):
        raise LfsPointer(path=path)
    length = int.from_bytes(start[:8], "little")
    if size < 8 or length > min(size - 8, _LARGEST_HEADER):
        raise CorruptFile(path=path, why=f"its {size} bytes do not hold the header that it announces")
    return 8 + length


def parse_header(path: str | Path, raw: bytes, size: int) -> Header:
    """As :func:`read_header`, from the bytes before the tensors of a file of ``size`` bytes.

    Raises:
        CorruptFile: naming what is wrong.
    """
    entries = _parse(path, raw[8:])
    metadata = _metadata(path, entries.pop("__metadata__", {}))
    spans = {name: _span(path, name, entry, len(raw)) for name, entry in entries.items()}
    spans = dict(sorted(spans.items(), key=lambda item: (item[1].start, item[1].nbytes)))
    _check_layout(path, spans, len(raw), size)
    return Header(spans, metadata)


def _parse(path: str | Path, raw: bytes) -> dict[str, Any]:
    try:
        entries = parse(raw)
    except ValueError as error:
        raise CorruptFile(path=path, why=f"its header is not valid JSON ({type(error).__name__})") from error
    if not isinstance(entries, dict):
        raise CorruptFile(path=path, why="its header is not a JSON object")
    return entries


def _metadata(path: str | Path, entry: Any) -> dict[str, str]:
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise CorruptFile(path=path, why="its metadata are not text")
    return entry


def _span(path: str | Path, name: str, entry: Any, base: int) -> TensorSpan:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)]} if (
            dtype in BITS
            and all(type(extent) is int and extent >= 0 for extent in shape)
            and type(begin) is int
            and type(end) is int
            and 0 <= begin <= end
            and (end - begin) * 8 == elements(shape) * BITS[dtype]
        ):
            return TensorSpan(dtype, tuple(shape), base + begin, end - begin)
    raise CorruptFile(path=path, why=f"its header describes the tensor {name!r} wrongly")


def _check_layout(path: str | Path, spans: Mapping[str, TensorSpan], begin: int, size: int) -> None:
    position = begin
    for name, span in spans.items():
        if span.start != position:
            raise CorruptFile(path=path, why=f"the bytes of {name!r} overlap others or leave a gap")
        position += span.nbytes
    if position != size:
        state = "is truncated" if size < position else "goes on after its last tensor"
        raise CorruptFile(path=path, why=f"it {state} ({size} bytes instead of {position})")
