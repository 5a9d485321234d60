"""Delta files: ``spin_delta.safetensors``, as docs/delta-format.md describes them."""

import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from spin_hub.artifacts.container import (
    checked,
    index_code,
    layouts_from_json,
    layouts_to_json,
    mapped,
    mapped_raw,
    read_about,
    write_container,
)
from spin_hub.checkpoint.header import Header
from spin_hub.core.delta import ZERO, BaseRef, Delta, TensorEdit, action_of, checked_method
from spin_hub.core.files import DELTA, stays_inside
from spin_hub.errors import CorruptFile, UnsupportedFormat
from spin_hub.version import __version__

NAME: Final = DELTA


def write_delta(path: Path, delta: Delta) -> None:
    """Write a delta; equal deltas give equal files.

    Raises:
        OSError: the file cannot be written.
    """
    arrays: dict[str, tuple[str, Any]] = {}
    for name, edit in delta.edits.items():
        code = index_code(math.prod(edit.shape))
        arrays[f"{name}.indices"] = (code, edit.indices.astype("<i8" if code == "I64" else "<i4"))
        arrays[f"{name}.original"] = (edit.dtype, edit.original)
    about = {
        "kind": "delta",
        "operation": ZERO.operation,
        "base": base_to_json(delta.base),
        "method": delta.method,
        "layouts": layouts_to_json((name, edit.dtype, edit.shape) for name, edit in delta.edits.items()),
        "tool": f"spin-hub {__version__}",
    }
    write_container(path, arrays, about)


def read_delta(path: str | Path) -> Delta:
    """Read a delta and check all of it: the file is untrusted.

    Raises:
        CorruptFile: damaged, or positions that are unsorted, doubled or outside their tensor.
        UnsupportedFormat: a format version or an operation that is not known.
    """
    path = Path(path)
    header, about = read_about(path, "delta")
    if action_of(about.get("operation")) is None:
        raise UnsupportedFormat(path=path, what=f"the operation {str(about.get('operation'))[:60]}")
    return checked(path, lambda: _build(path, header, about))


def base_to_json(base: BaseRef) -> dict[str, Any]:
    """A base reference as plain JSON values."""
    return {"repo_id": base.repo_id, "commit": base.commit, "files": dict(base.files)}


def base_from_json(entry: dict[str, Any]) -> BaseRef:
    """The reverse of :func:`base_to_json`.

    Raises:
        KeyError, TypeError, ValueError: the entry has another form.
    """
    repo_id, commit, files = entry["repo_id"], entry["commit"], dict(entry["files"])
    if not all(isinstance(value, str | None) for value in (repo_id, commit)):
        raise TypeError("repo_id and commit are not text")
    for name, digest in files.items():
        if not (isinstance(digest, str) and len(digest) == 64 and stays_inside(name)):
            raise TypeError(f"{name!r} is not the name of a model file with its sha256")
    return BaseRef(repo_id, commit, files)


def _build(path: Path, header: Header, about: dict[str, Any]) -> Delta:
    edits = {}
    for name, (dtype, shape) in layouts_from_json(about["layouts"]).items():
        indices = mapped(path, header, f"{name}.indices", index_code(math.prod(shape)))
        original = mapped_raw(path, header, f"{name}.original", dtype)
        edits[name] = TensorEdit(shape, dtype, indices.astype(np.int64), np.array(original))
    if len(header.spans) != 2 * len(edits):
        raise CorruptFile(path=path, why="it holds tensors that its description does not name")
    return Delta(edits, base_from_json(about["base"]), checked_method(about["method"]))
