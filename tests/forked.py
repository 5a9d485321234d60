"""Programs in forked processes of their own, with the modules that the tests have imported already.

Importing torch, transformers and the commands takes three to eight seconds; a fork takes some milliseconds.
"""

import io
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from signal import SIGKILL
from subprocess import CompletedProcess, TimeoutExpired
from tempfile import TemporaryDirectory


def run(
    main: Callable[[], object], arguments: list[str], folder: Path, environment: Mapping[str, str], timeout: float = 120
) -> CompletedProcess[bytes]:
    """Runs a program's main function with a command line, standard streams, a working folder and an environment.

    Modules keep what they read from the environment when they were imported.

    Raises:
        TimeoutExpired: it took longer; it was killed.
    """
    with TemporaryDirectory() as place:
        out, err = Path(place, "out"), Path(place, "err")
        with warnings.catch_warnings():
            # Python 3.12 and later warn of threads, which these programs do not share with the tests.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            _become(main, arguments, folder, environment, (out, err))
        ends = time.monotonic() + timeout
        while not (found := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > ends:
                os.kill(child, SIGKILL)
                os.waitpid(child, 0)
                raise TimeoutExpired(arguments, timeout, out.read_bytes(), err.read_bytes())
            time.sleep(0.002)
        return CompletedProcess(arguments, os.waitstatus_to_exitcode(found[1]), out.read_bytes(), err.read_bytes())


def _become(
    main: Callable[[], object],
    arguments: list[str],
    folder: Path,
    environment: Mapping[str, str],
    streams: tuple[Path, Path],
) -> None:
    code = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in enumerate(streams, 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        sys.stdin = io.TextIOWrapper(io.FileIO(0), "utf-8")
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(io.BufferedWriter(io.FileIO(number, "w")), "utf-8") for number in (1, 2)
        )
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = arguments
        code = _exit_code(main)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _exit_code(main: Callable[[], object]) -> int:
    """What a process of Python's own would end with."""
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - Python itself ends like this
        traceback.print_exc()
        return 1
    return 0
