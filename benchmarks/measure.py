"""Measures time, memory and this machine's matrix products, for the benchmarks beside it."""

import gc
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

Result = TypeVar("Result")

CACHE = Path(__file__).parents[1] / "build" / "benchmarks"
_SIZE = 2048
_WIDTH = 80


@dataclass(frozen=True)
class Usage:
    """What an action took: seconds, and the peaks of its memory in bytes above what was there before it."""

    seconds: float
    resident: int
    anonymous: int


def seconds(action: Callable[[], object]) -> float:
    """The wall time of an action."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def alternate(
    actions: Mapping[str, Callable[[], object]], rounds: int, prepare: Callable[[], object] = lambda: None
) -> dict[str, list[float]]:
    """Times actions in turns, after an untimed ``prepare`` each; every other round runs in reverse order."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds):
        # Neither action is always the one that finds the caches as the other left them.
        for name in reversed(list(actions)) if number % 2 else actions:
            prepare()
            times[name].append(seconds(actions[name]))
    return times


def product_peak(dtype: "torch.dtype", repeats: int = 10) -> float:
    """The best rate of a 2048 x 2048 matrix product on the CPU, in operations a second."""
    # Imported here, so that a benchmark of a part that does without torch starts without it.
    import torch

    left, right = (torch.randn(_SIZE, _SIZE).to(dtype) for _ in range(2))
    product = torch.mm(left, right)
    return 2 * _SIZE**3 / min(seconds(lambda: torch.mm(left, right, out=product)) for _ in range(repeats))


def used_by(action: Callable[[], object]) -> Usage:
    """Runs an action and samples this process's memory meanwhile (Linux).

    Resident memory counts pages of mapped files, which the kernel may drop at will; anonymous memory does not.
    """
    gc.collect()
    # This sets the kernel's own record of the peak back to what is resident now.
    Path("/proc/self/clear_refs").write_text("5")
    resident, anonymous = _status("VmRSS"), _status("RssAnon")
    samples, done = [anonymous], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            samples.append(_status("RssAnon"))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        taken = seconds(action)
    finally:
        done.set()
        thread.join()
    return Usage(taken, max(0, _status("VmHWM") - resident), max(samples) - anonymous)


def in_child(function: Callable[..., Result], *arguments: Any) -> Result:
    """Calls a function of a module in a fresh interpreter, which imports that module first."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def demo_model() -> Path:
    """The folder of the demo's model, unpacked on first use."""
    from spin_hub.workflows.demo import NAME, unpack

    folder = CACHE / NAME
    if not (folder / "config.json").is_file():
        unpack(folder)
    return folder


def machine() -> str:
    """One line that says on what the figures were measured."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = names[0] if names else platform.processor() or platform.machine()
    python = platform.python_version()
    return f"{os.cpu_count()} cores, {model}, torch {version('torch')}, Python {python}"[:_WIDTH]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under heads, the first column to the left and all others to the right."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    first, others = widths[0], widths[1:]
    lines = [heads, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join((line[0].ljust(first), *(cell.rjust(width) for cell, width in zip(line[1:], others, strict=True))))
        for line in lines
    )


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
