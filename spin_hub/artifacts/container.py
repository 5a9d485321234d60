"""A safetensors file with one metadata key: canonical JSON, so that equal contents are equal files."""

import errno
import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, TensorSpec, serialize_file

from spin_hub.checkpoint.header import Header, TensorSpan, read_header
from spin_hub.checkpoint.system import read_only_array, system_error
from spin_hub.core.dtypes import EDITABLE, NAMES, elements, itemsize
from spin_hub.core.json import parse
from spin_hub.errors import CorruptFile, UnsupportedFormat

KEY: Final = "spin_hub"
FORMAT: Final = 1

_TYPED: Final = {"I32": "<i4", "I64": "<i8", "F32": "<f4"}

Array = NDArray[Any]
Built = TypeVar("Built")


def canonical(value: Any) -> str:
    """JSON with sorted keys and without spaces: one text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def write_container(path: Path, arrays: Mapping[str, tuple[str, Array]], about: Mapping[str, Any]) -> None:
    """Write arrays, each given with its safetensors code, and what they are about.

    Args:
        path: the file; replaced if it exists.
        arrays: name -> (code, array); a two-dimensional uint8 array holds raw elements, one per row.
        about: plain JSON values.

    Raises:
        OSError: the file cannot be written.
    """
    shaped = {name: (code, (len(array),), array) for name, (code, array) in arrays.items()}
    write_tensors(path, shaped, {KEY: canonical({"format": FORMAT, **about})})


def write_tensors(
    path: Path, tensors: Mapping[str, tuple[str, tuple[int, ...], Array]], metadata: dict[str, str]
) -> None:
    """Write a plain safetensors file.

    Args:
        path: the file; replaced if it exists.
        tensors: name -> (safetensors code, shape, array); the array's bytes are the tensor's.
        metadata: of its header; with more than one key the file's bytes depend on the process.

    Raises:
        OSError: the file cannot be written.
    """
    alive = {name: (code, shape, np.ascontiguousarray(array)) for name, (code, shape, array) in tensors.items()}
    specs = {
        name: TensorSpec(dtype=NAMES[code], shape=list(shape), data_ptr=array.ctypes.data, data_len=array.nbytes)
        for name, (code, shape, array) in sorted(alive.items())
    }
    # The library lets the owner alone read its files; here they have the permissions of any new file.
    path.touch()
    mode = path.stat().st_mode
    try:
        serialize_file(specs, str(path), metadata=metadata)
    except SafetensorError as error:
        # The library wraps what the system said in a text of its own.
        code = re.search(r"os error (\d+)", str(error))
        if code is None:
            raise OSError(errno.EIO, str(error), str(path)) from error
        raise system_error(int(code[1]), str(error), path) from error
    path.chmod(mode)


def read_about(path: Path, kind: str) -> tuple[Header, dict[str, Any]]:
    """The header of a file that spin-hub wrote, and the JSON in it.

    Raises:
        CorruptFile: not such a file, or damaged.
        UnsupportedFormat: of another kind or a format version that is not known.
    """
    header = read_header(path)
    if set(header.metadata) != {KEY}:
        raise CorruptFile(path=path, why=f"it is not a {kind} that spin-hub wrote")
    try:
        about = parse(header.metadata[KEY])
    except ValueError as error:
        raise CorruptFile(path=path, why="its description is not valid JSON") from error
    if not isinstance(about, dict):
        raise CorruptFile(path=path, why="its description is not a JSON object")
    if about.get("kind") != kind:
        raise CorruptFile(path=path, why=f"it is not a {kind} but {str(about.get('kind'))[:40]!r}")
    if type(about.get("format")) is not int or about["format"] != FORMAT:
        raise UnsupportedFormat(path=path, what=f"format {str(about.get('format'))[:40]!r}")
    return header, about


def mapped(path: Path, header: Header, name: str, code: str) -> Array:
    """One vector of positions or importances, without reading it: a read-only map of I32, I64 or F32.

    Raises:
        CorruptFile: the vector is missing, or of another type or dimension.
    """
    span = _vector(path, header, name, code)
    return _map(path, span, _TYPED[code], span.shape)


def mapped_raw(path: Path, header: Header, name: str, code: str) -> Array:
    """One vector of a checkpoint's values, without reading it: uint8, shape (n, itemsize), a row an element.

    Raises:
        CorruptFile: the vector is missing, or of another type or dimension.
    """
    span = _vector(path, header, name, code)
    return _map(path, span, "u1", (*span.shape, itemsize(code)))


def _vector(path: Path, header: Header, name: str, code: str) -> TensorSpan:
    span = header.spans.get(name)
    if span is None or span.dtype != code or len(span.shape) != 1:
        raise CorruptFile(path=path, why=f"it has no vector {name!r} of type {code}")
    return span


def _map(path: Path, span: TensorSpan, dtype: str, shape: tuple[int, ...]) -> Array:
    return read_only_array(path, dtype, span.start, shape) if span.nbytes else np.empty(shape, dtype)


def layouts_to_json(tensors: Iterable[tuple[str, str, tuple[int, ...]]]) -> list[dict[str, Any]]:
    """Tensors (name, dtype code, shape) grouped by type and shape, which keeps headers small."""
    groups: dict[tuple[str, tuple[int, ...]], list[str]] = defaultdict(list)
    for name, dtype, shape in tensors:
        groups[dtype, shape].append(name)
    return [
        {"dtype": dtype, "shape": list(shape), "tensors": sorted(names)}
        for (dtype, shape), names in sorted(groups.items())
    ]


def layouts_from_json(layouts: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Tensor name -> (dtype code, shape), the reverse of :func:`layouts_to_json`.

    Raises:
        TypeError, ValueError: another form, a type that cannot be edited, an impossible shape, a doubled name.
    """
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for layout in layouts:
        dtype, shape, names = layout["dtype"], layout["shape"], layout["tensors"]
        if dtype not in EDITABLE:
            raise ValueError(f"elements of type {dtype!r} cannot be edited")
        if not isinstance(shape, list) or not all(type(extent) is int and extent >= 0 for extent in shape):
            raise ValueError(f"the shape {str(shape)[:80]} is impossible")
        if elements(shape) == math.inf:
            raise ValueError(f"the shape {str(shape)[:80]} has too many elements")
        for name in names:
            if not isinstance(name, str) or name in found:
                raise ValueError(f"{name!r} is not the name of a tensor, or is there twice")
            found[name] = (dtype, tuple(shape))
    return found


def index_code(size: int) -> str:
    """The type of positions in a tensor of ``size`` elements: int32 until they no longer fit."""
    return "I64" if size >= 2**31 else "I32"


def checked(path: Path, build: Callable[[], Built]) -> Built:
    """Build a value from what a file says, and turn any misfit into one error.

    Raises:
        CorruptFile: a field is missing, of the wrong type or value.
    """
    try:
        return build()
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise CorruptFile(path=path, why=f"its parts do not fit each other ({error})") from error
