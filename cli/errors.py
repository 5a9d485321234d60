"""How a command ends badly: one table from errors to a sentence, a hint and an exit code."""

import errno
import os
import sys
from dataclasses import dataclass
from typing import Final, Protocol

import typer

from spin_hub.cli.plain import plain, plain_json
from spin_hub.errors import SpinHubError

_DIFFERENT: Final = 3
_ON_WINDOWS: Final = os.name == "nt"
_SYSTEM: Final = {
    errno.ENOSPC: ("No space is left on the disk", "Free some space, or choose another place with --output."),
    errno.EDQUOT: ("The disk quota is used up", "Free some space, or choose another place with --output."),
    errno.EACCES: ("Permission is denied", "Choose a place that you may read and write."),
    errno.EPERM: ("Permission is denied", "Choose a place that you may read and write."),
    errno.EROFS: ("The file system is read-only", "Choose another place with --output."),
    errno.ENOENT: ("A file is missing", "It may have been removed meanwhile; try again."),
    errno.EIO: ("The disk reports an error", "Check the disk."),
    errno.ENAMETOOLONG: ("A file's name is too long", "Choose a shorter one with --output."),
    errno.EFBIG: ("A file grew too large for the file system", "Choose another place with --output."),
}

_OPEN_ELSEWHERE: Final = ("Another program has the file open", "Close it there, and try again.")
_WINDOWS: Final = {
    32: _OPEN_ELSEWHERE,
    33: _OPEN_ELSEWHERE,
    206: _SYSTEM[errno.ENAMETOOLONG],
    1224: _OPEN_ELSEWHERE,
}
"""By Windows' own codes, which its errno values do not tell apart."""


@dataclass(frozen=True)
class Ending:
    """A failure as people and programs read it."""

    kind: str
    message: str
    hint: str
    code: int


def ending_of(error: BaseException) -> Ending | None:
    """The ending of an expected error; None for one that should keep its traceback."""
    match error:
        case SpinHubError():
            return Ending(type(error).__name__, error.message, error.hint, error.exit_code)
        case typer.TyperException():
            # The library lists choices on lines of their own; an error is one sentence here.
            message = " ".join(error.format_message().split())
            return Ending("UsageError", message, "See --help for the options and examples.", 2)
        case KeyboardInterrupt():
            hint = "Nothing half-written was left; the same command goes on with the layers that were finished."
            return Ending("Interrupted", "Interrupted.", hint, 130)
        case OSError() if _reader_is_gone(error):
            # Whoever read the output has enough; nothing more can be written there.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Ending("BrokenPipe", "", "", 1)
        case OSError() if found := _WINDOWS.get(getattr(error, "winerror", 0)) or _SYSTEM.get(error.errno or 0):
            sentence, hint = found
            return Ending(type(error).__name__, f"{sentence}: {error.filename or error.strerror}.", hint, 1)
    return None


def _reader_is_gone(error: OSError) -> bool:
    """Whether nobody reads the output any more; Windows reports that as an invalid argument without a file."""
    if isinstance(error, BrokenPipeError):
        return True
    if not _ON_WINDOWS or error.errno != errno.EINVAL or error.filename is not None:
        return False
    try:
        sys.stdout.flush()
    except OSError:
        return True
    return False


class Compared(Protocol):
    """What came of a comparison."""

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        ...


def end(found: Compared | None) -> None:
    """End a command with the code for a difference, where a comparison found one."""
    if found and not found.equal:
        raise typer.Exit(_DIFFERENT)


def report(ending: Ending | None, as_json: bool) -> int:
    """Print an ending and return its exit code."""
    if ending is None:
        return 0
    if as_json:
        error = {"type": ending.kind, "message": ending.message, "hint": ending.hint}
        sys.stdout.write(plain_json({"error": error}) + "\n")
    elif ending.message:
        sys.stderr.write(f"Error: {plain(ending.message)}\n")
        sys.stderr.write(f"Hint: {plain(ending.hint)}\n" if ending.hint else "")
    return ending.code
