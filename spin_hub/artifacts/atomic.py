"""Outputs that appear whole or not at all: made beside their place, then renamed.

The name of an unfinished output holds the machine, the process and a random part, so that a later run can remove what
a killed process left. Outputs of a living process of this machine are left alone, and so is everything of another
machine, which may share the disk.
"""

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spin_hub.checkpoint.system import is_device, name_problem, process_lives, renamed
from spin_hub.errors import NoSpace, OutputExists, OutputNotAllowed
from spin_hub.recipe import Destination
from spin_hub.units import human_bytes

_OURS: Final = re.compile(r"(?P<machine>[0-9a-f]{6})-(?P<process>\d+)-[0-9a-f]{8}\.partial")
_making: set[str] = set()
"""The names that this process has given, since its number may have been that of one that was killed."""


def beside(place: Path) -> Path:
    """A new name beside an output; nothing is made."""
    name = f".{place.name}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.partial"
    _making.add(name)
    return place.with_name(name)


def remove_leftovers(place: Path) -> tuple[Path, ...]:
    """Remove what killed processes left beside an output.

    Args:
        place: the output.

    Returns:
        What was removed.
    """
    prefix = f".{place.name}."
    try:
        names = [entry.name for entry in os.scandir(place.parent) if entry.name.startswith(prefix)]
    except OSError:
        # There is no such folder, or it may not be read: nothing was left there by this program.
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


_MARGIN: Final = 1 << 20
_LONGEST_NAME: Final = 120


@dataclass(frozen=True)
class Placed:
    """A destination with its path settled."""

    path: Path
    overwrite: bool

    @classmethod
    def of(cls, destination: Destination, default: str) -> "Placed":
        """A destination, with a default name in the working folder where it has none."""
        return cls(Path(_one_name(default)) if destination.path is None else destination.path, destination.overwrite)

    def check(self, forbidden: Iterable[Path], needed: int = 0) -> None:
        """Refuse an output that must not be written or has no room, before any work is done.

        Args:
            forbidden: folders in which, and inputs over which, nothing may be written.
            needed: bytes.

        Raises:
            OutputExists: it is there, not empty, and may not be replaced.
            OutputNotAllowed: within or around a forbidden folder, the home or the working folder; a name that this
                system does not allow.
            NoSpace: the disk has no room.
        """
        place = self.path.expanduser().resolve()
        if problem := name_problem(place.name):
            raise OutputNotAllowed(path=self.path, why=problem)
        _check_forbidden(self.path, place, forbidden)
        if place.exists() and place in {Path.cwd(), *Path.cwd().parents, Path.home(), *Path.home().parents}:
            raise OutputNotAllowed(path=self.path, why="the working folder or the home lies in it")
        if _occupied(place) and not self.overwrite:
            raise OutputExists(path=self.path)
        if (place / ".git").exists():
            raise OutputNotAllowed(path=self.path, why="it is a git checkout, which is not replaced")
        parent = existing_folder(place.parent)
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise OutputNotAllowed(path=self.path, why=f"{parent} is not a folder that may be written")
        free = shutil.disk_usage(parent).free
        if free < needed + _MARGIN:
            raise NoSpace(path=self.path, needed=human_bytes(needed + _MARGIN), free=human_bytes(free))


@contextmanager
def new_folder(target: Placed) -> Iterator[Path]:
    """A folder to fill, which becomes the target when the block ends well and vanishes otherwise.

    Raises:
        OutputExists: the target came into being meanwhile.
    """
    place = target.path.expanduser().resolve()
    remove_leftovers(place)
    work = beside(place)
    with _parents(place):
        work.mkdir()
        try:
            yield work
            if _occupied(place) and not target.overwrite:
                raise OutputExists(path=target.path)
            _swap(work, place)
        finally:
            shutil.rmtree(work, ignore_errors=True)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A file to write, which becomes the target when the block ends well and vanishes otherwise."""
    place = target.expanduser().resolve()
    remove_leftovers(place)
    work = beside(place)
    with _parents(place):
        try:
            yield work
            renamed(lambda: work.replace(place))
        finally:
            work.unlink(missing_ok=True)


@contextmanager
def _parents(place: Path) -> Iterator[None]:
    """Make the folders above an output, and remove those that a failure leaves empty."""
    missing = [folder for folder in place.parents if not folder.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for folder in missing:
            if not any(folder.iterdir()):
                folder.rmdir()


def _one_name(default: str) -> str:
    """A default as a file name in the working folder; a model's name may come from an untrusted record."""
    raw = re.sub(r"[^\w.@+-]", "-", default).lstrip(".-").encode("utf-8", "ignore")[:_LONGEST_NAME]
    # A name has to be allowed on every system, so that one command has one output name.
    name = raw.decode("utf-8", "ignore").rstrip(".") or "output"
    return f"model-{name}" if is_device(name) else name


def _check_forbidden(target: Path, place: Path, forbidden: Iterable[Path]) -> None:
    for path in (folder.resolve() for folder in forbidden):
        if place == path or path in place.parents:
            raise OutputNotAllowed(path=target, why="it lies within an input or the Hub's cache")
        if place in path.parents and place.exists():
            raise OutputNotAllowed(path=target, why="it holds an input or the Hub's cache")


def _swap(work: Path, place: Path) -> None:
    if not place.exists():
        try:
            renamed(lambda: work.rename(place))
        except OSError as error:
            # Another process made it between the look and the renaming.
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise OutputExists(path=place) from error
            raise
        return
    old = beside(place)
    renamed(lambda: place.rename(old))
    try:
        renamed(lambda: work.rename(place))
    except BaseException:
        renamed(lambda: old.rename(place))
        raise
    shutil.rmtree(old) if old.is_dir() else old.unlink()


def _occupied(place: Path) -> bool:
    return place.exists() and not (place.is_dir() and not any(place.iterdir()))


def existing_folder(path: Path) -> Path:
    """A path, or the nearest folder above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
