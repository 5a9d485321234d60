"""Progress of long work on stderr: a bar on a terminal, elsewhere a line at least every half minute."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from spin_hub.cli.plain import plain
from spin_hub.cli.time_left import TimeLeft
from spin_hub.units import about, duration, human_bytes

# Seconds.
_LINE_EVERY: Final = 30.0
_LOOK_EVERY: Final = 1.0
_NOTICED: Final = 1.0
_FAREWELL: Final = 1.0

_LINE_WIDTH: Final = 80
_BAR_WIDTH: Final = 16

Clock = Callable[[], float]


class Stderr(Console):
    """The console for notes and progress; work goes on when stderr is closed, full, or read by nobody any more."""

    def __init__(self) -> None:
        super().__init__(stderr=True, highlight=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what was printed. Every way of printing ends here."""
        try:
            super().__exit__(kind, error, traceback)
        except (OSError, ValueError):
            # A closed file raises ValueError.
            self.quiet = True

    def on_broken_pipe(self) -> None:
        """Go on without output; rich would close stdout and exit."""
        self.quiet = True


class Shown:
    """A reporter that draws bars on a terminal, and elsewhere writes lines.

    Args:
        console: for notes and progress.
        clock: seconds that never go back.
    """

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._status = ""

    @contextmanager
    def task(self, title: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """See :class:`spin_hub.progress.Reporter`."""
        self._status = ""
        work = _Work(title, total, unit, self._clock)
        with (self._bar if self._console.is_interactive else self._lines)(work) as advance:
            yield advance
        if work.passed >= _NOTICED:
            self.note(work.ended())

    def note(self, text: str) -> None:
        """See :class:`spin_hub.progress.Reporter`."""
        self._console.print(Text(plain(text)))

    def status(self, text: str) -> None:
        """See :class:`spin_hub.progress.Reporter`."""
        self._status = text

    @contextmanager
    def _bar(self, work: "_Work") -> Iterator[Callable[[int], None]]:
        title = TextColumn("{task.description}", markup=False)
        words = _Words(lambda: work.beside_bar(self._status, self._console.width))
        columns = (SpinnerColumn(), title, BarColumn(_BAR_WIDTH), words)
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(work.title, total=work.total if work.counted else None)

            def advance(amount: int) -> None:
                work.advance(amount)
                progress.advance(task, amount)

            yield advance

    @contextmanager
    def _lines(self, work: "_Work") -> Iterator[Callable[[int], None]]:
        def write() -> None:
            self._console.print(Text(plain(work.line(self._status))), soft_wrap=True)

        lines = Lines(write, self._clock)

        def advance(amount: int) -> None:
            work.advance(amount)
            lines.look()

        with heartbeat(lines.look):
            yield advance


class Lines:
    """Lines that are written whenever half a minute has passed since the last one; several threads may look."""

    def __init__(self, write: Callable[[], None], clock: Clock) -> None:
        self._write = write
        self._clock = clock
        self._lock = threading.Lock()
        self._last = clock()

    def look(self) -> None:
        """Write a line if it is time."""
        with self._lock:
            if self._clock() - self._last >= _LINE_EVERY:
                self._last = self._clock()
                self._write()


@contextmanager
def heartbeat(beat: Callable[[], None], every: float = _LOOK_EVERY) -> Iterator[None]:
    """Call a function now and then from a thread of its own, until the block ends."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every):
            beat()

    thread = threading.Thread(target=run, name="spin-hub progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        # A reader that takes no more of stderr must not keep the work from ending.
        thread.join(_FAREWELL)


class _Work:
    """A task under way, and its words. One thread may advance it while another one reads."""

    def __init__(self, title: str, total: int, unit: str, clock: Clock) -> None:
        self.title = title
        self.total = total
        self.counted = total > 1
        self._unit = unit
        self._clock = clock
        self._started = clock()
        self._done = 0
        self._left = TimeLeft(max(total, 1))
        self._lock = threading.Lock()

    @property
    def passed(self) -> float:
        """Seconds since the start."""
        return max(0.0, self._clock() - self._started)

    def advance(self, amount: int) -> None:
        """Count an amount that is done."""
        with self._lock:
            self._done += amount
            self._left.add(self.passed, amount)

    def line(self, status: str) -> str:
        """``Scoring: 27 % after 10 min 2 s, about 27 min left; 4 tokens/s, peak 2.1 GiB``."""
        with self._lock:
            passed = duration(self.passed)
            parts = [f"{self._share()} after {passed}", self._time_left()] if self.counted else [f"{passed} so far"]
            head = f"{self.title}: {_joined(parts)}"
            facts = _fitting(self._facts(status), _LINE_WIDTH - len(head) - 2)
        return f"{head}; {facts}" if facts else head

    def beside_bar(self, status: str, width: int) -> str:
        """``27 %, 10 min 2 s, about 27 min left, 4 tokens/s``, for a terminal of a width."""
        with self._lock:
            parts = [self._share(), duration(self.passed), self._time_left(), *self._facts(status)]
            # A spinner, the title and the bar, each with a space behind it.
            return _fitting(parts, width - len(self.title) - _BAR_WIDTH - 4)

    def ended(self) -> str:
        """``Scoring: 51,200 tokens in 37 min 5 s, peak 2.1 GiB``."""
        amount = "" if self._unit == "step" else f"{_amount(self._done, self._unit)} in "
        return f"{self.title}: {_joined([amount + duration(self.passed), self._peak()])}"

    def _share(self) -> str:
        """A share that is rounded down, so that 100 % is all."""
        return f"{int(100 * self._left.share + 1e-9)} %" if self.counted else ""

    def _time_left(self) -> str:
        left = self._left.at(self.passed) if self.counted else None
        return "" if left is None else f"about {about(left)} left"

    def _facts(self, status: str) -> list[str]:
        return [_speed(self._done / max(self.passed, 1e-9), self._unit), self._peak(), status]

    def _peak(self) -> str:
        """The memory that running a model took at most."""
        memory = peak_memory() if self._unit == "tokens" else 0
        return f"peak {human_bytes(memory)}" if memory else ""


class _Words(ProgressColumn):
    """Words that are made anew whenever the bar is drawn."""

    def __init__(self, words: Callable[[], str]) -> None:
        super().__init__()
        self._words = words

    def render(self, _: Task) -> Text:
        """See :class:`rich.progress.ProgressColumn`."""
        return Text(plain(self._words()))


def peak_memory() -> int:
    """The most memory that this process took of a GPU, or without one was resident, in bytes."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    if sys.platform == "win32":
        return 0
    import resource

    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _joined(parts: list[str]) -> str:
    return ", ".join(filter(None, parts))


def _fitting(parts: list[str], room: int) -> str:
    """The parts, but for those that a line has no room for."""
    taken: list[str] = []
    for part in parts:
        if len(_joined([*taken, part])) <= room:
            taken.append(part)
    return _joined(taken)


def _speed(rate: float, unit: str) -> str:
    """``850 tokens/s``, ``40 answers/min``, ``1.2 GiB/s``; empty for work of one step."""
    if unit == "step" or rate <= 0:
        return ""
    if unit == "bytes":
        return f"{human_bytes(rate)}/s"
    span, seconds = next((entry for entry in (("s", 1), ("min", 60)) if rate * entry[1] >= 2), ("h", 3600))
    return f"{rate * seconds:,.0f} {unit}/{span}"


def _amount(value: int, unit: str) -> str:
    if unit == "bytes":
        return human_bytes(value)
    return f"{value:,} {unit.removesuffix('s') if value == 1 else unit}"
