"""Delta files from strangers: damaged, or written to do harm."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stocking import UP

INDICES, ORIGINAL = f"{UP}.indices", f"{UP}.original"


class Parts:
    """A safetensors file, taken apart."""

    def __init__(self, data: bytes) -> None:
        size = struct.unpack("<Q", data[:8])[0]
        self.header: dict[str, Any] = json.loads(data[8 : 8 + size])
        self.about: dict[str, Any] = json.loads(self.header["__metadata__"]["spin_hub"])
        self.body = bytearray(data[8 + size :])

    def positions(self, *values: int) -> None:
        begin, end = self.header[INDICES]["data_offsets"]
        self.body[begin:end] = struct.pack(f"<{len(values)}i", *values)

    def whole(self) -> bytes:
        self.header["__metadata__"]["spin_hub"] = json.dumps(self.about)
        header = json.dumps(self.header).encode()
        return struct.pack("<Q", len(header)) + header + bytes(self.body)


def _about(**changes: Any) -> Callable[[Parts], None]:
    return lambda parts: parts.about.update(changes)


def _entry(name: str, **changes: Any) -> Callable[[Parts], None]:
    return lambda parts: parts.header[name].update(changes)


def _files(name: str) -> Callable[[Parts], None]:
    return lambda parts: parts.about["base"]["files"].update({name: "0" * 64})


def _layout(**changes: Any) -> Callable[[Parts], None]:
    return lambda parts: parts.about["layouts"][0].update(changes)


def _renamed(name: str) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        for part in ("indices", "original"):
            parts.header[f"{name}.{part}"] = parts.header.pop(f"{UP}.{part}")
        parts.about["layouts"][0]["tensors"] = [name]

    return change


def _extra(parts: Parts) -> None:
    parts.header["x"] = {"dtype": "U8", "shape": [0], "data_offsets": [len(parts.body)] * 2}


DAMAGES: dict[str, tuple[str, Callable[[Parts], None] | Callable[[bytes], bytes]]] = {
    "an index outside": ("CorruptFile", lambda parts: parts.positions(3, 70, 2048)),
    "an index far outside": ("CorruptFile", lambda parts: parts.positions(3, 70, 2**31 - 1)),
    "an index below zero": ("CorruptFile", lambda parts: parts.positions(-3, 70, 2000)),
    "unsorted": ("CorruptFile", lambda parts: parts.positions(70, 3, 2000)),
    "doubled": ("CorruptFile", lambda parts: parts.positions(3, 3, 2000)),
    "positions of another type": ("CorruptFile", _entry(INDICES, dtype="F32")),
    "positions in two dimensions": ("CorruptFile", _entry(INDICES, shape=[3, 1])),
    "positions beyond the file": ("CorruptFile", _entry(INDICES, data_offsets=[0, 1 << 40])),
    "values of another type": ("CorruptFile", _entry(ORIGINAL, dtype="F16")),
    "values of another length": ("CorruptFile", _layout(dtype="F32")),
    "no values": ("CorruptFile", lambda parts: parts.header.pop(ORIGINAL) and None),
    "a shape that is impossible": ("CorruptFile", _layout(shape=[64, -32])),
    "a shape that is no shape": ("CorruptFile", _layout(shape="64x32")),
    "a type that cannot be edited": ("CorruptFile", _layout(dtype="I8")),
    "the shape of another model": ("DeltaMismatch", _layout(shape=[32, 65])),
    "a tensor that the model lacks": ("DeltaMismatch", _renamed("model.layers.99.mlp.up_proj.weight")),
    "a tensor whose name climbs": ("DeltaMismatch", _renamed("../../../etc/passwd")),
    "a tensor that is not described": ("CorruptFile", _extra),
    "a file of the base that climbs": ("CorruptFile", _files("../../outside.json")),
    "a file of the base from the root": ("CorruptFile", _files("/etc/passwd")),
    "a file of the base that is hidden": ("CorruptFile", _files(".git/config")),
    "an unknown format": ("UnsupportedFormat", _about(format=2)),
    "an unknown operation": ("UnsupportedFormat", _about(operation={"kind": "exec"})),
    "another kind of file": ("CorruptFile", _about(kind="ranking")),
    "no base": ("CorruptFile", _about(base=None)),
    "a base that is no text": ("CorruptFile", _about(base={"repo_id": 5, "commit": None, "files": {}})),
    "a method that is a list": ("CorruptFile", _about(method=[])),
    "another key in the header": ("CorruptFile", lambda parts: parts.header["__metadata__"].update(format="pt")),
}
BYTES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[:-5],
    "truncated in the header": lambda data: data[:40],
    "longer than it says": lambda data: data + b"\0" * 9,
    "empty": lambda data: b"",
    "a pickle": lambda data: (
        b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."
    ),
    "a header of terabytes": lambda data: struct.pack("<Q", 1 << 42) + data[8:],
}
DAMAGES |= {name: ("CorruptFile", change) for name, change in BYTES.items()}


def damaged(file: Path, damage: str) -> str:
    """Damages a delta file and gives the type of the error that must come of it."""
    kind, change = DAMAGES[damage]
    data = file.read_bytes()
    if damage in BYTES:
        file.write_bytes(BYTES[damage](data))
    else:
        parts = Parts(data)
        change(parts)
        file.write_bytes(parts.whole())
    return kind
