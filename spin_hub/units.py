"""Sizes and durations in words: ``1.5 GiB``, ``3 min 20 s``, ``6 d 10 h``."""

import math
from typing import Final

_SIZES: Final = ("KiB", "MiB", "GiB", "TiB")

# A unit, its seconds, the unit of the rest, and that one's seconds.
_DURATIONS: Final = (("s", 1, "s", 1), ("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86400, "h", 3600))


# Below each number of seconds, the step to which an estimate is rounded.
_ROUGHLY: Final = ((60, 1), (600, 10), (3600, 60), (36_000, 600), (864_000, 3600), (math.inf, 86_400))


def human_bytes(size: float) -> str:
    """Format a number of bytes: ``0 bytes``, ``1 byte``, ``37.0 KiB``, ``1.5 GiB``."""
    if size < 1024:
        return f"{size:.0f} byte{'' if round(size) == 1 else 's'}"
    last = len(_SIZES)
    power = next((power for power in range(1, last) if round(size / 1024**power, 1) < 1024), last)
    return f"{size / 1024**power:,.1f} {_SIZES[power - 1]}"


def duration(seconds: float) -> str:
    """Format a duration in its two largest units: ``0.4 s``, ``42 s``, ``3 min 20 s``, ``2 h 5 min``, ``6 d 10 h``.

    Args:
        seconds: a negative value counts as 0, since a clock may be set back; infinity and NaN are ``unknown``.
    """
    if not math.isfinite(seconds):
        return "unknown"
    if round(max(0.0, seconds), 1) < 10:
        return f"{max(0.0, seconds):.1f} s"
    unit, size, small, part = next(entry for entry in reversed(_DURATIONS) if round(seconds) >= entry[1])
    whole = round(seconds / part) * part
    rest = whole % size // part
    return f"{whole // size:,} {unit}" + (f" {rest} {small}" if rest else "")


def about(seconds: float) -> str:
    """Format an estimated duration, rounded: ``7 s``, ``3 min 20 s``, ``27 min``, ``2 h 10 min``."""
    if not math.isfinite(seconds):
        return duration(seconds)
    step = next(step for most, step in _ROUGHLY if seconds < most)
    rounded = max(1, round(seconds / step) * step)
    return f"{rounded} s" if rounded < 10 else duration(rounded)
