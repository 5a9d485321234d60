"""Failures of a command as a sentence, a hint and an exit code: one ordered table of causes."""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import typer

from spin_hub.cli.plain import one_line, plain, plain_json
from spin_hub.errors import SpinHubError, first_line

_DIFFERENT: Final = 3
_BUG: Final = 70
INTERRUPTED: Final = 130
TERMINATED: Final = 143

_KEPT: Final = (
    "Nothing half-written was left; layers and edits that were finished are kept, and the same command goes on."
)
_ELSEWHERE: Final = "Choose another place with --output."
_LONGEST: Final = 200
_ON_WINDOWS: Final = os.name == "nt"
_SYSTEM: Final = {
    errno.ENOSPC: ("No space is left on the disk", f"Free some space. {_ELSEWHERE}"),
    errno.EDQUOT: ("The disk quota is used up", f"Free some space. {_ELSEWHERE}"),
    errno.EACCES: ("Permission is denied", "Choose a place that you may read and write."),
    errno.EPERM: ("Permission is denied", "Choose a place that you may read and write."),
    errno.EROFS: ("The file system is read-only", _ELSEWHERE),
    errno.ENOENT: ("A file is missing", "It may have been removed meanwhile; try again."),
    errno.ENOTDIR: ("A part of the path is a file, not a folder", "Check the path."),
    errno.EISDIR: ("A folder is where a file should be", "Check the path."),
    errno.ENOTEMPTY: ("A folder is not empty", "Another program may write to it; try again."),
    errno.EEXIST: ("Something is there already", "Remove it, or choose another place with --output."),
    errno.ELOOP: ("Symbolic links lead in a circle", "Check the path."),
    errno.EIO: ("The disk reports an error", "Check the disk."),
    errno.ESTALE: ("The network's disk lost the file", "Check the connection to it, and try again."),
    errno.EBUSY: ("A file is in use", "Close the program that uses it, and try again."),
    errno.ENAMETOOLONG: ("A file's name is too long", "Give a shorter one."),
    errno.EFBIG: ("A file grew too large for the file system", _ELSEWHERE),
    errno.EMFILE: ("Too many files are open", "Allow more with `ulimit -n 4096`, and try again."),
    errno.ENFILE: ("The system has too many files open", "Close other programs, and try again."),
    errno.ENOMEM: ("The memory does not suffice", "Close other programs, or limit scoring with --max-memory."),
}

_OPEN_ELSEWHERE: Final = ("Another program has the file open", "Close it there, and try again.")
# By Windows' own codes, which its errno values do not tell apart.
_WINDOWS: Final = {
    32: _OPEN_ELSEWHERE,
    33: _OPEN_ELSEWHERE,
    206: _SYSTEM[errno.ENAMETOOLONG],
    1224: _OPEN_ELSEWHERE,
}

_HUB: Final = ("The Hub could not be used", "Look at `spin-hub env`, and try again.")
_TABLE: Final = ("The data could not be read", "Check the file or data set that the options name.")
_LOADER: Final = ("The model could not be loaded or run", "Check its files, and the versions in `spin-hub env`.")
_CLIENTS: Final = (
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "h11",
    "requests",
    "urllib3",
    "hf_xet",
    "huggingface_hub",
)
_LIBRARIES: Final = {
    **dict.fromkeys(_CLIENTS, _HUB),
    **dict.fromkeys(("datasets", "pyarrow", "pandas", "fsspec"), _TABLE),
    **dict.fromkeys(("transformers", "accelerate", "torch", "peft", "vllm"), _LOADER),
    **dict.fromkeys(("tokenizers", "sentencepiece"), ("The tokenizer failed", "Check the tokenizer's files.")),
    **dict.fromkeys(
        ("safetensors", "safetensors_rust"),
        ("A safetensors file could not be read", "Download or write the file again."),
    ),
    "jinja2": ("The chat template failed", "Leave out --chat-template to use the raw prompts."),
    "yaml": ("A card's metadata could not be read", "Check the README's first lines."),
    "lm_eval": ("The tasks could not be run", "Check --task and --task-dir."),
    **dict.fromkeys(("matplotlib", "PIL"), ("A plot could not be drawn", "Check the versions in `spin-hub env`.")),
}
"""Package -> sentence and hint, for failures of it that no room of this library expected."""


@dataclass(frozen=True)
class Ending:
    """A failure as people and programs read it."""

    kind: str
    message: str
    hint: str
    code: int = 1


def ending_of(error: BaseException) -> Ending:
    """Return the ending of a command that raised an error."""
    return next(ending for cause in _CAUSES if (ending := cause(error)))


def _interrupted(error: BaseException) -> Ending | None:
    """Find an interruption also behind what a library raised on its way out."""
    for link in _chain(error):
        if isinstance(link, KeyboardInterrupt):
            return Ending("Interrupted", "Interrupted.", _KEPT, INTERRUPTED)
        if isinstance(link, SystemExit) and link.code == TERMINATED:
            return Ending("Terminated", "Terminated.", _KEPT, TERMINATED)
    return None


def _own(error: BaseException) -> Ending | None:
    if isinstance(error, SpinHubError):
        return Ending(type(error).__name__, error.message, error.hint, error.exit_code)
    if isinstance(error, typer.TyperException):
        # The library lists choices on lines of their own; an error is one sentence here.
        message = " ".join(error.format_message().split())
        return Ending("UsageError", message, "See --help for the options and examples.", 2)
    return None


def _reader_gone(error: BaseException) -> Ending | None:
    if not isinstance(error, OSError) or not _is_reader_gone(error):
        return None
    # Whoever read the output has enough.
    _give_up_stdout()
    return Ending("BrokenPipe", "", "")


def _is_reader_gone(error: OSError) -> bool:
    if isinstance(error, BrokenPipeError):
        return True
    # Windows reports that as an invalid argument without a file.
    if not _ON_WINDOWS or error.errno != errno.EINVAL or error.filename is not None:
        return False
    try:
        sys.stdout.flush()
    except OSError:
        return True
    return False


def _give_up_stdout() -> None:
    """Let nothing more be written there, at the end of the process neither."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _system(error: BaseException) -> Ending | None:
    """Find a failure of the operating system also behind what a library made of it."""
    links = _chain(error) if _library(error) else [error]
    for link in (link for link in links if isinstance(link, OSError)):
        if found := _WINDOWS.get(getattr(link, "winerror", 0)) or _SYSTEM.get(link.errno or 0):
            about = str(link.filename or link.strerror)
            about = about if len(about) <= _LONGEST else f"{about[:_LONGEST]}..."
            return Ending(type(link).__name__, f"{found[0]}: {about}.", found[1])
    return None


def _memory(error: BaseException) -> Ending | None:
    torch = sys.modules.get("torch")
    on_device = isinstance(error, RuntimeError) and "out of memory" in str(error)
    if torch is not None and (on_device or isinstance(error, torch.OutOfMemoryError)):
        hint = "Use a shorter --max-length, fewer --samples, --device cpu, or a limit with --max-memory."
        return Ending("DeviceOutOfMemory", f"The device's memory does not suffice: {first_line(error)}.", hint)
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        hint = "Close other programs, limit scoring with --max-memory, or use a smaller model."
        return Ending("OutOfMemory", "The memory does not suffice.", hint)
    return None


def _library(error: BaseException) -> Ending | None:
    """Find the library that failed, by the error's class and by the modules that it went through."""
    # tokenizers, which is written in Rust, raises the class Exception itself.
    named = "tokenizers" if type(error) is Exception else type(error).__module__
    for module in (named, *reversed([module for module, _ in _places(error)])):
        if module.startswith("spin_hub"):
            return None
        if found := _LIBRARIES.get(module.partition(".")[0]):
            hint = f"{found[1]} --debug shows where it failed."
            return Ending("LibraryFailed", f"{found[0]}: {first_line(error)}.", hint)
    return None


def _bug(error: BaseException) -> Ending:
    own = [f" at {module}:{line}" for module, line in _places(error) if module.startswith("spin_hub")]
    message = f"This is a bug of spin-hub ({type(error).__name__}{own[-1] if own else ''}: {first_line(error)})."
    hint = "Report it in the issues of spin-hub's repository, with what --debug prints."
    return Ending("InternalError", message, hint, _BUG)


_CAUSES: Final[tuple[Callable[[BaseException], Ending | None], ...]] = (
    _interrupted,
    _own,
    _reader_gone,
    _system,
    _memory,
    _library,
    _bug,
)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it came from or was raised in the handling of."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _places(error: BaseException) -> list[tuple[str, int]]:
    """The modules and lines that an error went through, the one that raised it last."""
    return [(str(frame.f_globals.get("__name__")), line) for frame, line in traceback.walk_tb(error.__traceback__)]


class Compared(Protocol):
    """The result of a comparison."""

    @property
    def equal(self) -> bool:
        """True if nothing differs."""
        ...


def end(found: Compared | None) -> None:
    """End a command with the code for a difference, if a comparison found one."""
    if found and not found.equal:
        raise typer.Exit(_DIFFERENT)


def _written(text: str) -> bool:
    """Write a text to stdout; False if that is what failed before, such as a full disk."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        _give_up_stdout()
        return False
    return True


def report(error: BaseException, as_json: bool, debug: bool) -> int:
    """Print what ended a command, and return its exit code.

    Args:
        error: that it raised.
        as_json: print one JSON object on stdout.
        debug: print the traceback too.
    """
    ending = ending_of(error)
    if debug and ending.code not in (2, INTERRUPTED, TERMINATED):
        sys.stderr.write(plain("".join(traceback.format_exception(error))))
    found = {"type": ending.kind, "message": ending.message, "hint": ending.hint}
    if as_json and _written(plain_json({"error": found}) + "\n"):
        return ending.code
    if ending.code == _BUG:
        sys.stderr.write(f"Error: {one_line(ending.message)} {ending.hint}\n")
    elif ending.message:
        sys.stderr.write(f"Error: {plain(ending.message)}\n")
        sys.stderr.write(f"Hint: {plain(ending.hint)}\n" if ending.hint else "")
    return ending.code
