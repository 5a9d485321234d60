"""Memory, and the folders that spin-hub writes to and reads from."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from spin_hub.checkpoint.digests import DigestCache
from spin_hub.doctor.findings import Finding, shown_path, weights_in
from spin_hub.hub.cache import hub_cache
from spin_hub.models.device import container_memory
from spin_hub.scoring.memory import LIBRARIES
from spin_hub.units import human_bytes

_NAMED: Final = {
    "Hub cache": ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"),
    "spin-hub cache": ("SPIN_HUB_CACHE", "XDG_CACHE_HOME"),
}

_SHARE: Final = 0.75
"""Of the memory left beside the libraries, what the weights may take; the rest is for what is computed with them."""

_LITTLE: Final = 2 << 30


def memory() -> tuple[Finding, ...]:
    """Findings on the memory, and the models that fit into it."""
    try:
        found = psutil.virtual_memory()
    except (psutil.Error, OSError, RuntimeError) as error:
        note = f"The system does not say it ({type(error).__name__}): set --max-memory."
        return (Finding("memory", "unknown", "note", note),)
    figures = {"available": found.available, "total": found.total}
    value = f"{human_bytes(found.available)} free of {human_bytes(found.total)}"
    room = weights_in((found.available - LIBRARIES) * _SHARE)
    note = f"Models of up to about {room} weights in bfloat16 fit whole; larger ones go layer by layer, more slowly."
    if found.available < _LITTLE:
        line = Finding("memory", value, "note", f"Little. {note} Close other programs.", figures)
    else:
        line = Finding("memory", value, note=note, figures=figures)
    limit, _ = container_memory()
    if limit is None or limit >= found.total:
        return (line,)
    note = "Of the container: more is not given, and spin-hub plans with it."
    return (line, Finding("memory limit", human_bytes(limit), "note", note, {"limit": limit}))


def places() -> tuple[Finding, ...]:
    """Findings on the working folder, the Hub's cache and spin-hub's own."""
    return (
        _outputs(),
        _cache("Hub cache", hub_cache(), "Downloads fail: set HF_HOME to a folder that can be written."),
        _cache(
            "spin-hub cache", DigestCache().path.parent, "Checksums are computed anew at each run. Set SPIN_HUB_CACHE."
        ),
    )


def _outputs() -> Finding:
    try:
        folder = Path.cwd()
    except OSError:
        return Finding("working folder", "missing", "problem", "It was removed. Change to another folder.")
    free = _free(folder)
    value, figures = f"{shown_path(folder)}, {_amount(free)}", {} if free is None else {"free": float(free)}
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        note = f"It cannot be written ({error.strerror}): name another place with --output."
        return Finding("working folder", value, "problem", note, figures)
    if free is not None and free < _LITTLE:
        note = f"An edited model takes as much as its base: {weights_in(free)} weights in bfloat16 at most."
        return Finding(
            "working folder", value, "problem", f"Little room. {note} Deltas (--as delta) are small.", figures
        )
    if free is None:
        return Finding("working folder", value, note="Outputs go here, if --output names no other place.")
    note = f"Outputs go here. There is room for an edited model of {weights_in(free)} weights in bfloat16."
    return Finding("working folder", value, note=note, figures=figures)


def _cache(name: str, folder: Path, otherwise: str) -> Finding:
    why = _unusable(folder)
    if why:
        return Finding(name, shown_path(folder), "problem", f"It cannot be used ({why}). {otherwise}")
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    free = _free(there)
    value, figures = f"{shown_path(folder)}, {_amount(free)}", {} if free is None else {"free": float(free)}
    if not there.is_dir():
        return Finding(name, value, "problem", f"{shown_path(there)} is not a folder. {otherwise}", figures)
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(name, value, "problem", f"It cannot be written. {otherwise}", figures)
    if free is not None and free < _LITTLE and name == "Hub cache":
        note = "Little room: a model of more than that cannot be downloaded. HF_HOME names another place."
        return Finding(name, value, "note", note, figures)
    note = "Downloaded models lie here" if name == "Hub cache" else "Checksums of files lie here"
    origin = next((f", as {variable} says" for variable in _NAMED[name] if os.environ.get(variable)), "")
    missing = "" if there == folder else " The folder does not exist yet."
    return Finding(name, value, note=f"{note}{origin}.{missing}", figures=figures)


def _unusable(folder: Path) -> str:
    """The reason why the system refuses a folder's name, such as one that is too long, or an empty text."""
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def _free(folder: Path) -> int | None:
    with suppress(OSError):
        return shutil.disk_usage(folder).free
    return None


def _amount(free: int | None) -> str:
    return "free space unknown" if free is None else f"{human_bytes(free)} free"
