"""Progress as people see it: lines where there is no terminal, a bar where there is one."""

import io
import sys
import threading
import time

import pytest
from rich.console import Console

from spin_hub.cli import progress
from spin_hub.cli.progress import Lines, Shown, Stderr, heartbeat, peak_memory

SOON = 5.0
"""Seconds after which a test gives a thread up."""


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Beats:
    """A heartbeat that beats when it is told to, and only while its block lasts."""

    def __init__(self):
        self.beat = lambda: None

    def __call__(self, beat):
        self.beat = beat
        return self

    def __enter__(self):
        return None

    def __exit__(self, *_):
        self.beat = lambda: None


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def beats(monkeypatch):
    found = Beats()
    monkeypatch.setattr(progress, "heartbeat", found)
    return found


@pytest.fixture(autouse=True)
def peak(monkeypatch):
    monkeypatch.setattr(progress, "peak_memory", lambda: 9 << 28)


def shown(clock, terminal=False, width=80):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, force_interactive=terminal, width=width, highlight=False)
    return Shown(console, clock), out


def test_without_a_terminal_a_line_every_half_minute_says_how_far_how_fast_and_how_long(clock, beats):
    reporter, out = shown(clock)
    with reporter.task("Scoring", 10_000, "tokens") as advance:
        for number in range(1, 11):
            clock.now += 100
            advance(1000)
            reporter.status(f"{number} of 10 matrices")
    assert out.getvalue().splitlines() == [
        "Scoring: 10 % after 1 min 40 s, about 15 min left; 10 tokens/s, peak 2.2 GiB",
        "Scoring: 20 % after 3 min 20 s, about 13 min left; 10 tokens/s, peak 2.2 GiB",
        "Scoring: 30 % after 5 min, about 12 min left; 10 tokens/s, peak 2.2 GiB",
        "Scoring: 40 % after 6 min 40 s, about 10 min left; 10 tokens/s, peak 2.2 GiB",
        "Scoring: 50 % after 8 min 20 s, about 8 min 20 s left; 10 tokens/s, peak 2.2 GiB",
        "Scoring: 60 % after 10 min, about 6 min 40 s left; 10 tokens/s, peak 2.2 GiB",
        "Scoring: 70 % after 11 min 40 s, about 5 min left; 10 tokens/s, peak 2.2 GiB",
        "Scoring: 80 % after 13 min 20 s, about 3 min 20 s left; 10 tokens/s",
        "Scoring: 90 % after 15 min, about 1 min 40 s left; 10 tokens/s, peak 2.2 GiB",
        "Scoring: 100 % after 16 min 40 s; 10 tokens/s, peak 2.2 GiB, 9 of 10 matrices",
        "Scoring: 10,000 tokens in 16 min 40 s, peak 2.2 GiB",
    ]


def test_a_long_step_has_a_line_every_half_minute_too(clock, beats):
    reporter, out = shown(clock)
    with reporter.task("Loading the model", 1, "step") as advance:
        for _ in range(100):
            clock.now += 1
            beats.beat()
        advance(1)
    assert out.getvalue().splitlines() == [
        "Loading the model: 30 s so far",
        "Loading the model: 1 min so far",
        "Loading the model: 1 min 30 s so far",
        "Loading the model: 1 min 40 s",
    ]


def test_lines_come_between_advances_that_are_minutes_apart(clock, beats):
    reporter, out = shown(clock)
    with reporter.task("Asking", 10, "answers") as advance:
        clock.now += 30
        beats.beat()
        clock.now += 30
        advance(1)
        for _ in range(6):
            clock.now += 10
            beats.beat()
        advance(9)
    assert out.getvalue().splitlines() == [
        "Asking: 0 % after 30 s",
        "Asking: 10 % after 1 min, about 9 min left; 60 answers/h",
        "Asking: 10 % after 1 min 30 s, about 8 min 30 s left; 40 answers/h",
        "Asking: 10 % after 2 min, about 8 min left; 30 answers/h",
        "Asking: 10 answers in 2 min",
    ]


def test_a_line_that_an_advance_has_written_counts_for_the_heartbeat(clock, beats):
    reporter, out = shown(clock)
    with reporter.task("Hashing", 100 << 20, "bytes") as advance:
        clock.now += 30
        advance(40 << 20)
        beats.beat()
        clock.now += 29
        beats.beat()
        assert out.getvalue() == "Hashing: 40 % after 30 s, about 45 s left; 1.3 MiB/s\n"


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt, SystemExit])
def test_the_heartbeat_ends_with_its_block(error):
    beaten = threading.Event()
    count = 0

    def beat():
        nonlocal count
        count += 1
        beaten.set()

    def work():
        with heartbeat(beat, 1e-4):
            assert beaten.wait(SOON)
            if error:
                raise error

    before = threading.active_count()
    if error:
        with pytest.raises(error):
            work()
    else:
        work()
    assert threading.active_count() == before
    at_the_end = count
    time.sleep(0.005)
    assert count == at_the_end


def test_a_task_starts_a_heartbeat_and_ends_it(clock):
    reporter, _ = shown(clock)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), reporter.task("Scoring", 5, "tokens"):
        assert threading.active_count() == before + 1
        raise KeyboardInterrupt
    assert threading.active_count() == before


def test_a_heartbeat_that_is_stuck_does_not_keep_the_work_from_ending(monkeypatch):
    monkeypatch.setattr(progress, "_FAREWELL", 0.01)
    stuck, free = threading.Event(), threading.Event()

    def beat():
        stuck.set()
        free.wait(SOON)

    with heartbeat(beat, 1e-4):
        assert stuck.wait(SOON)
    free.set()


def test_two_threads_write_one_line(clock):
    writing, other = threading.Event(), threading.Event()
    written = []

    def write():
        written.append(clock.now)
        writing.set()
        other.wait(0.02)

    lines = Lines(write, clock)
    clock.now += 30
    threads = [threading.Thread(target=lines.look) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert writing.wait(SOON)
    other.set()
    for thread in threads:
        thread.join(SOON)
    assert written == [1030.0]


def test_many_threads_may_advance_one_task(clock, beats):
    reporter, out = shown(clock)
    with reporter.task("Proving", 4000, "files") as advance:
        threads = [threading.Thread(target=lambda: [advance(1) for _ in range(1000)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON)
        clock.now += 2
    assert out.getvalue() == "Proving: 4,000 files in 2.0 s\n"


def test_the_time_of_day_does_not_matter(monkeypatch):
    reporter, out = shown(time.monotonic)
    with reporter.task("Scoring", 10, "tokens") as advance:
        monkeypatch.setattr(time, "time", lambda: 1e12)
        advance(5)
    assert out.getvalue() == ""


def test_a_clock_that_goes_back_does_no_harm(clock, beats):
    reporter, out = shown(clock)
    with reporter.task("Scoring", 10, "answers") as advance:
        clock.now += 40
        advance(5)
        clock.now -= 500
        advance(1)
        beats.beat()
    assert out.getvalue() == "Scoring: 50 % after 40 s, about 40 s left; 8 answers/min\n"


def test_short_work_leaves_no_line(clock):
    reporter, out = shown(clock)
    with reporter.task("Loading the model", 1, "step") as advance:
        advance(1)
    assert out.getvalue() == ""


def test_work_that_failed_leaves_no_line(clock):
    reporter, out = shown(clock)
    with pytest.raises(RuntimeError), reporter.task("Loading the model", 1, "step"):
        clock.now += 20
        raise RuntimeError
    assert out.getvalue() == ""


def test_the_state_of_one_task_is_not_that_of_the_next(clock, beats):
    reporter, out = shown(clock)
    for title in ("Scoring", "Hashing"):
        with reporter.task(title, 100, "bytes") as advance:
            if title == "Scoring":
                reporter.status("forwards")
            clock.now += 40
            advance(50)
    lines = out.getvalue().splitlines()
    assert lines[0] == "Scoring: 50 % after 40 s, about 40 s left; 1 byte/s, forwards"
    assert lines[2] == "Hashing: 50 % after 40 s, about 40 s left; 1 byte/s"


@pytest.mark.parametrize("total", [0, 1])
def test_work_of_unknown_parts_has_no_share(clock, beats, total):
    reporter, out = shown(clock)
    with reporter.task("Fetching", total, "bytes") as advance:
        clock.now += 31
        advance(total)
    assert out.getvalue().splitlines()[0].startswith("Fetching: 31 s so far")


def test_a_terminal_shows_a_bar_with_the_same_words(clock):
    reporter, out = shown(clock, terminal=True)
    with reporter.task("Scoring", 6000, "tokens") as advance:
        reporter.status("3 of 9 matrices")
        clock.now += 300
        advance(3000)
    text = out.getvalue()
    assert "50 %, 5 min, about 5 min left, 10 tokens/s" in text
    assert text.splitlines()[-1].endswith("Scoring: 3,000 tokens in 5 min, peak 2.2 GiB")


def test_a_wide_terminal_shows_the_state_too(clock):
    reporter, out = shown(clock, terminal=True, width=120)
    with reporter.task("Scoring", 6000, "tokens") as advance:
        reporter.status("3 of 9 matrices")
        clock.now += 300
        advance(3000)
    assert "50 %, 5 min, about 5 min left, 10 tokens/s, peak 2.2 GiB, 3 of 9 matrices" in out.getvalue()


def test_a_terminal_shows_how_long_a_step_has_taken(clock):
    reporter, out = shown(clock, terminal=True)
    with reporter.task("Loading the model", 1, "step"):
        clock.now += 200
    assert "3 min 20 s" in out.getvalue()
    assert "%" not in out.getvalue()


class Broken(io.StringIO):
    """A stream that nothing can be written to."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.tried = 0

    def write(self, text):
        self.tried += 1
        raise self.error


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(28, "No space left on device"), ValueError("I/O operation on closed file.")]
)
@pytest.mark.parametrize("terminal", [False, True])
def test_the_work_goes_on_when_stderr_is_lost(clock, beats, monkeypatch, error, terminal):
    stream = Broken(error)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(Stderr, "is_interactive", terminal, raising=False)
    reporter = Shown(Stderr(), clock)
    done = 0
    with reporter.task("Scoring", 1000, "tokens") as advance:
        for _ in range(10):
            clock.now += 40
            advance(100)
            beats.beat()
            done += 1
    reporter.note("All is well.")
    assert done == 10
    assert stream.tried == 1


def test_the_work_goes_on_without_stderr(clock, beats, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    reporter = Shown(Stderr(), clock)
    with reporter.task("Scoring", 1000, "tokens") as advance:
        clock.now += 40
        advance(100)
    reporter.note("All is well.")


@pytest.mark.parametrize(
    ("seconds", "amount", "unit", "speed"),
    [
        (40, 400, "tokens", "10 tokens/s"),
        (40, 40, "answers", "60 answers/min"),
        (40, 1, "states", "90 states/h"),
        (40, 40 << 30, "bytes", "1.0 GiB/s"),
        (40, 40, "step", ""),
    ],
)
def test_speeds_are_figures_that_say_something(clock, beats, seconds, amount, unit, speed):
    reporter, out = shown(clock)
    with reporter.task("Work", amount * 2, unit) as advance:
        clock.now += seconds
        advance(amount)
    assert out.getvalue().splitlines()[0].removesuffix(", peak 2.2 GiB").partition("; ")[2] == speed


def test_the_peak_is_memory_that_was_there():
    assert 10 << 20 < peak_memory() < 1 << 40
