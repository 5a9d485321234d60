"""Commands that are killed at random moments, in forked processes, so that the time goes into the work."""

import contextlib
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from spin_hub.cli import app as cli

Client = Callable[[], contextlib.AbstractContextManager[None]]
"""Sets up a process's client of the Hub."""


@contextlib.contextmanager
def no_hub() -> Iterator[None]:
    """A client that is left as it is."""
    yield


def start(arguments: list[str], folder: Path, client: Client) -> int:
    """Runs a command line in a child of this process; its number."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.chdir(folder)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        log = os.open(folder.parent / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(nowhere, 1)
        os.dup2(log, 2)
        with client():
            code = cli.run([*arguments, "--quiet"])
    except BaseException:
        # What nobody expected is told where the command's own words go.
        os.write(2, traceback.format_exc().encode())
        raise
    finally:
        os._exit(code)


def run(arguments: list[str], folder: Path, client: Client) -> tuple[int, float]:
    """Lets a command end; its exit code, and what it took in seconds."""
    started = time.monotonic()
    _, status = os.waitpid(start(arguments, folder, client), 0)
    return os.waitstatus_to_exitcode(status), time.monotonic() - started


def kill(arguments: list[str], folder: Path, client: Client, after: float) -> bool:
    """Kills a command after some seconds; whether it was still at work."""
    child = start(arguments, folder, client)
    ends = time.monotonic() + after
    while time.monotonic() < ends:
        ended, _ = os.waitpid(child, os.WNOHANG)
        if ended:
            return False
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def moments(count: int, longest: float, seed: int) -> list[float]:
    """Moments to kill at, spread over what the command takes."""
    drawn = random.Random(seed)
    return [longest * (number + drawn.random()) / count for number in range(count)]


def files_of(folder: Path, but: Callable[[str], bool] = lambda _: False) -> dict[str, bytes]:
    """Every file below a folder, by its name relative to it."""
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not but(name)}
