"""Fuzzes everything that reads files from strangers, in processes with limits on time and memory (Linux).

Every input is made from the seed, its target and its number alone, so that each can be made again. An input fails by
any exception but SpinHubError, by taking longer than the limit, by taking more memory than 10 times its size plus 64
MiB, by ending its process, by starting a program, by unpickling, by connecting anywhere, or by writing outside its
folder.
"""

import argparse
import json
import logging
import multiprocessing
import os
import queue
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / "fuzz")]
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1"}

SECONDS = 10
TIMES, PLUS = 10, 64 << 20
AT_ONCE = 250
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pickle.find_class", "socket.connect")
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass
class Tally:
    """What came of a target's inputs."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    most: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.outcomes += other.outcomes
        self.slowest, self.most = max(self.slowest, other.slowest), max(self.most, other.most)
        self.failures += other.failures


class Watch:
    """Notices what no reader may do, by Python's own audit events."""

    def __init__(self, folder: Path) -> None:
        self.allowed = (str(folder), tempfile.gettempdir() + "/spin-hub-", "/dev/")
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in FORBIDDEN:
            self.seen.append(f"{event} {arguments!r:.100}")
        elif event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES):
            place = os.path.realpath(str(arguments[0]))
            if not place.startswith(self.allowed):
                self.seen.append(f"{event} {place:.100}")


def input_of(target: str, seed: int, number: int) -> bytes:
    from fuzz_seeds import seeds_of
    from mutations import mutated

    return mutated(seeds_of(target), Random(f"{seed}:{target}:{number}"))


def work(folder: Path, seed: int, tasks: Any, results: Any, place: Any) -> None:
    """A process that runs batches of inputs until there are none."""
    os.chdir(folder)
    os.environ["MPLCONFIGDIR"] = str(folder)  # where matplotlib keeps what it found out of the fonts
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    from fuzz_seeds import seeds_of
    from targets import TARGETS

    from spin_hub.errors import SpinHubError

    # What is loaded once is not an input's memory, nor its time.
    for target, (function, _) in TARGETS.items():
        for data in seeds_of(target):
            with suppress(SpinHubError):
                function(data)
    watch = Watch(folder)
    for target, first, last in iter(tasks.get, None):
        tally = Tally()
        for number in range(first, last):
            place[:] = [list(TARGETS).index(target), number]
            one(tally, TARGETS[target][0], (number, input_of(target, seed, number)), watch)
        results.put((target, tally))
    results.put(None)


def one(tally: Tally, function: Any, entry: tuple[int, bytes], watch: Watch) -> None:
    number, data = entry
    before, started = resident(), time.monotonic()
    outcome = run(function, data)
    taken, bound = time.monotonic() - started, TIMES * len(data) + PLUS
    grown = max(0, peak() - before)
    if grown > bound:  # The peak may be an earlier input's: once more, with the peak set back.
        Path("/proc/self/clear_refs").write_text("5")
        before = resident()
        run(function, data)
        grown = max(0, peak() - before)
    outcome = f"memory: {grown:,} bytes of {len(data):,}" if grown > bound else outcome
    outcome = f"watched: {watch.seen[0]}" if watch.seen else outcome
    watch.seen.clear()
    tally.slowest, tally.most = max(tally.slowest, taken), max(tally.most, grown)
    if " " in outcome:
        tally.failures.append((number, outcome))
    tally.outcomes["unexpected" if " " in outcome else outcome] += 1


def run(function: Any, data: bytes) -> str:
    """Accepted, a typed error's class, or what went wrong in several words."""
    from spin_hub.errors import SpinHubError

    signal.alarm(SECONDS)
    try:
        function(data)
        return "accepted"
    except SpinHubError as error:
        return type(error).__name__
    except Exception as error:  # noqa: BLE001
        return f"exception: {type(error).__name__}: {str(error)[:100]}"
    finally:
        signal.alarm(0)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def fuzz(counts: dict[str, int], seed: int, workers: int) -> dict[str, Tally]:
    """Runs all inputs; a process that ends is counted as a failure of the input that it had, and replaced."""
    context = multiprocessing.get_context("spawn")
    root = Path(tempfile.mkdtemp(prefix="spin-fuzz-"))
    tallies: dict[str, Tally] = defaultdict(Tally)
    batches = [
        (target, first, min(first + AT_ONCE, count))
        for target, count in counts.items()
        for first in range(0, count, AT_ONCE)
    ]
    tasks, results = context.Queue(), context.Queue()
    for batch in [*batches, *[None] * workers]:
        tasks.put(batch)
    processes = {}
    for number in range(workers):
        place = context.Array("q", 2)
        (root / f"{number}").mkdir()
        process = context.Process(target=work, args=(root / f"{number}", seed, tasks, results, place))
        process.start()
        processes[process] = place
    done = 0
    while done < workers:
        try:
            result = results.get(timeout=SECONDS)
        except queue.Empty:
            for process, place in list(processes.items()):
                if process.exitcode:
                    target = names()[place[0]]
                    why = f"the process ended ({process.exitcode}): longer than {SECONDS} s, or a crash"
                    tallies[target].add(Tally(Counter(unexpected=1), failures=[(place[1], why)]))
                    del processes[process]
                    done += 1
            continue
        if result is None:
            done += 1
        else:
            tallies[result[0]].add(result[1])
    assert not list(root.rglob("pwned")), "code of an input was run"
    shutil.rmtree(root)
    return tallies


def names() -> list[str]:
    from targets import TARGETS

    return list(TARGETS)


def shares(inputs: int, only: str | None) -> dict[str, int]:
    """How many inputs every target gets."""
    from targets import TARGETS

    if only:
        return {only: inputs}
    whole = sum(share for _, share in TARGETS.values())
    return {target: -(-inputs * share // whole) for target, (_, share) in TARGETS.items()}


def shown(tallies: dict[str, Tally]) -> str:
    from measure import table

    rows = []
    for target, tally in [*tallies.items(), ("all", total(tallies))]:
        outcomes = tally.outcomes
        errors = sum(count for name, count in outcomes.items() if name not in ("accepted", "unexpected"))
        figures = (outcomes.total(), outcomes["accepted"], errors, outcomes["unexpected"])
        most = f"{tally.most / 2**20:.1f}"
        rows.append((target, *(f"{n:,}" for n in figures), f"{tally.slowest * 1e3:,.0f}", most))
    return table(("target", "inputs", "accepted", "typed errors", "unexpected", "slowest, ms", "memory, MiB"), rows)


def total(tallies: dict[str, Tally]) -> Tally:
    found = Tally()
    for tally in tallies.values():
        found.add(tally)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=names())
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--failures", type=Path, default=Path("build/fuzzing"))
    asked = parser.parse_args()
    started = time.monotonic()
    tallies = fuzz(shares(asked.inputs, asked.target), asked.seed, asked.workers)
    print(shown(tallies))
    print("\ntyped errors: " + json.dumps(dict(total(tallies).outcomes.most_common())))
    print(f"seed {asked.seed}, {time.monotonic() - started:,.0f} s")
    for target, tally in tallies.items():
        for number, why in tally.failures:
            asked.failures.mkdir(parents=True, exist_ok=True)
            (asked.failures / f"{target}-{asked.seed}-{number}").write_bytes(input_of(target, asked.seed, number))
            print(f"{target} {number}: {why}")
    return 1 if any(tally.failures for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
