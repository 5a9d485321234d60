"""The sha256 of the files of a model folder, and a cache of those of large files that have not changed.

A base of many gigabytes is read whole for its digests, and stays the same for months in a cache. A file counts as
unchanged while its device, inode, size and time of change are the same, as for git and make. Anything that is proved to
others - a reverted model, a verified one - is always read again.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from spin_hub.checkpoint.system import cache_folder

# Smaller files are hashed faster than looked up.
LARGE: Final = 8 << 20

# Seconds that a file must have been left alone: a change within one tick of the clock would not show.
_SETTLED: Final = 2.0

# Digests that are remembered at most.
_MOST: Final = 10_000

# Bytes of a file in memory at a time.
_BLOCK: Final = 1 << 20


class DigestCache:
    """Digests by file; kept in one small JSON file, which may be removed at any time.

    Attributes:
        path: the file, ``digests.json``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Read the digests that are known.

        Args:
            folder: where the file is; by default ``$SPIN_HUB_CACHE``, or ``spin-hub`` in the user's cache folder.
        """
        self.path = (folder or _usual_folder()) / "digests.json"
        self._known = _read(self.path)
        self._new: dict[str, str] = {}

    def digest(self, file: Path) -> str | None:
        """The sha256 that a file had when it was hashed; None if it is new, changed or small."""
        found = self._known.get(_key(file.stat()))
        return found if isinstance(found, str) else None

    def remember(self, file: Path, before: os.stat_result, digest: str) -> None:
        """Take note of a digest, unless the file is small or was changed only just now or meanwhile.

        Args:
            file: that was hashed.
            before: its state before.
            digest: its sha256.
        """
        now = file.stat()
        settled = max(now.st_mtime, now.st_ctime) < time.time() - _SETTLED
        if now.st_size >= LARGE and settled and _key(now) == _key(before):
            self._new[_key(now)] = digest

    def save(self) -> None:
        """Write what is new; where nothing can be written, nothing is remembered."""
        if not self._new:
            return
        entries = [*{**_read(self.path), **self._new}.items()][-_MOST:]
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(json.dumps(dict(entries)).encode())
            draft.replace(self.path)
        except OSError:
            # A home that cannot be written costs time at the next run, and nothing else.
            with suppress(OSError):
                draft.unlink()


def _usual_folder() -> Path:
    own = os.environ.get("SPIN_HUB_CACHE")
    return Path(own) if own else cache_folder() / "spin-hub"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        # Missing at first, and to be made anew when damaged.
        return {}
    return content if isinstance(content, dict) else {}


def _key(state: os.stat_result) -> str:
    return f"{state.st_dev}:{state.st_ino}:{state.st_size}:{state.st_mtime_ns}:{state.st_ctime_ns}"


def digests(folder: Path, names: Iterable[str], read: Callable[[int], None]) -> dict[str, str]:
    """The sha256 of files, by name; several are read at a time.

    Args:
        folder: where they are.
        names: relative to it.
        read: called with the number of bytes of every block, from several threads.

    Raises:
        OSError: a file cannot be read.
    """
    names = list(names)
    with ThreadPoolExecutor() as pool:
        return dict(zip(names, pool.map(lambda name: sha256(folder / name, read), names), strict=True))


def known_digests(folder: Path, names: Iterable[str], read: Callable[[int], None]) -> dict[str, str]:
    """As :func:`digests`, but large files that have not changed since they were last hashed are not read again.

    Args:
        folder: where they are.
        names: relative to it.
        read: called with the number of bytes of every block or known file, from several threads.

    Raises:
        OSError: a file cannot be read.
    """
    remembered = DigestCache()
    names = list(names)

    def one(name: str) -> str:
        path = folder / name
        known, before = remembered.digest(path), path.stat()
        if known is not None:
            read(before.st_size)
            return known
        digest = sha256(path, read)
        remembered.remember(path, before, digest)
        return digest

    with ThreadPoolExecutor() as pool:
        found = dict(zip(names, pool.map(one, names), strict=True))
    remembered.save()
    return found


def sha256(path: Path, read: Callable[[int], None] = lambda _: None) -> str:
    """The sha256 of one file as 64 hexadecimal digits.

    Args:
        path: of the file.
        read: called with the number of bytes that were read.
    """
    digest = hashlib.sha256()
    # One small buffer a file: fresh blocks would be kept by the allocator, some for every thread.
    block = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            digest.update(block[:count])
            read(count)
    return digest.hexdigest()
