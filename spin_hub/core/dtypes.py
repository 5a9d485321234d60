"""Element types of safetensors files: their codes, sizes, names and values."""

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float64]

BITS: Final = MappingProxyType(
    {
        "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
        "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
        "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
    }
)  # fmt: skip
"""Bits per element of every type that a safetensors header may name."""

NAMES: Final = MappingProxyType(
    {
        "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
        "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "I32": "int32", "I64": "int64",
    }
)  # fmt: skip
"""The names that torch, numpy and the safetensors writer use for these codes."""

EDITABLE: Final = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
"""The types whose weights can be edited in place: one element, one weight, and zero is all bits off."""

_NATIVE: Final = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<f4", "F8_E5M2": "<f2"}
_MOST: Final = 2**63 - 1


def elements(shape: Sequence[int]) -> float:
    """The number of elements; infinite where 63 bits do not hold it, so that no shape takes long to multiply."""
    count = 1
    for extent in shape:
        count *= extent
        if max(count, extent) > _MOST:
            return math.inf
    return count


def itemsize(code: str) -> int:
    """Bytes per element of a whole-byte type.

    Raises:
        KeyError: the code is unknown.
        ValueError: the type packs several elements into a byte.
    """
    bits = BITS[code]
    if bits % 8:
        raise ValueError(f"{code} has no whole number of bytes per element")
    return bits // 8


def values_of(raw: NDArray[np.uint8], dtype: str) -> Values:
    """The numbers that elements of a checkpoint stand for; float64 holds each of them exactly.

    Args:
        raw: uint8, shape (n, itemsize), as the bytes lie in the file (little-endian).
        dtype: the safetensors code of a type that can be edited.

    Returns:
        float64, shape (n,); signed zeros, infinities and NaN stay what they are.

    Raises:
        ValueError: elements of this type cannot be edited.
    """
    if dtype not in EDITABLE:
        raise ValueError(f"elements of type {dtype} cannot be edited")
    if dtype == "F8_E4M3":  # a float16 with three bits of fraction and a bias of 7 instead of 15; all ones are NaN
        codes = raw.reshape(-1).astype("<u2")
        halves = ((codes & 0x80) << 8 | (codes & 0x7F) << 7).view("<f2")
        return np.where(codes & 0x7F == 0x7F, np.nan, halves.astype(np.float64) * 256)
    if dtype in {"BF16", "F8_E5M2"}:  # the upper halves of float32 and float16
        raw = np.concatenate([np.zeros_like(raw), raw], axis=1)
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        return np.ascontiguousarray(raw).reshape(-1).view(_NATIVE[dtype]).astype(np.float64)
