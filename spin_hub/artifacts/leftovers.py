"""Names of outputs that are still being made, by which those of a process that was killed are found and removed.

A name holds the machine, the process and a random part. What a living process of this machine makes is left alone, and
so is everything of another machine, which may share the disk.
"""

import hashlib
import os
import platform
import re
import secrets
import shutil
from pathlib import Path
from typing import Final

from spin_hub.artifacts.system import process_lives

_OURS: Final = re.compile(r"(?P<machine>[0-9a-f]{6})-(?P<process>\d+)-[0-9a-f]{8}\.partial")
_making: set[str] = set()
"""The names that this process has given, since its number may have been that of one that was killed."""


def beside(place: Path) -> Path:
    """A new name beside an output; nothing is made."""
    name = f".{place.name}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.partial"
    _making.add(name)
    return place.with_name(name)


def remove_leftovers(place: Path) -> tuple[Path, ...]:
    """Removes what killed processes left beside an output.

    Args:
        place: the output.

    Returns:
        What was removed.
    """
    prefix = f".{place.name}."
    try:
        names = [entry.name for entry in os.scandir(place.parent) if entry.name.startswith(prefix)]
    except OSError:
        # There is no such folder, or it may not be read: then nothing was left there by us.
        return ()
    removed = []
    for name in names:
        found = _OURS.fullmatch(name.removeprefix(prefix))
        if found and name not in _making and found["machine"] == _machine() and not _lives(int(found["process"])):
            path = place.with_name(name)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            removed.append(path)
    return tuple(removed)


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def _lives(process: int) -> bool:
    return process != os.getpid() and process_lives(process)
