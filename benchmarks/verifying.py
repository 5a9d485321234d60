"""Compares `verify` with a mere `sha256sum`, and loads it: many at a time, and a checkpoint of many shards.

    python benchmarks/verifying.py [--folder DIR] [--gigabytes N] [--part speed|crowd|shards]

The checkpoint has, per GB, 72 random bfloat16 matrices in 4 shards, each with 33 weights to zero; its files are warm
in the page cache. `sha256sum` reads the same files one after another: those of the edited model, or of both. The Hub
is the one of the tests, on this machine, in the process that waits. Each verification has a fresh process; memory is
the peak above the imports, and in the crowd all that a process takes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measure import Usage, in_child, machine, seconds, table, used_by
from patching import MATRICES, SHAPE, WEIGHTS, make_checkpoint, make_delta
from publishing import TOKEN, USER, hub_with

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import open_base, record_of
from spin_hub.artifacts.open import base_ref
from spin_hub.artifacts.publish import PushOptions
from spin_hub.artifacts.write import describe, write_model_folder
from spin_hub.core.delta import Delta
from spin_hub.progress import SILENT
from spin_hub.recipe import SelectionRecipe
from spin_hub.workflows.push import push
from spin_hub.workflows.verify import verify

ROUNDS, CROWD, AT_ONCE, TINY = 5, 50, 50, 2_000
MIB = 1 << 20
REPO = f"{USER}/edited"
QUICK: dict[str, Any] = {"quick": True}


def make_edited(model: str, target: Path) -> None:
    """An edited copy of a folder or a Hub model, with some weights of every matrix set to zero; in a child."""
    base = open_base(model)
    record = record_of(base, SILENT)
    found = make_delta(base.index)
    method = {**SelectionRecipe().to_json(), "tensors": len(found.edits), "weights": found.weights}
    delta: Delta = replace(found, base=base_ref(record), method=method)
    write_model_folder(Placed(target, False), base, delta, describe("model", delta, record), SILENT)


def push_edited(folder: Path) -> None:
    """Publishes it; in a child, as all that asks the Hub."""
    push(folder, PushOptions(REPO), None, SILENT)


def verify_usage(edited: str, options: dict[str, Any]) -> Usage:
    """What a verification takes; in a child. It ends the benchmark where something differs."""

    def action() -> None:
        found = verify(edited, **options)
        if not found.equal:
            raise SystemExit(f"{edited} differs: {found.differences[:3]}")

    return used_by(action)


def sha256sum(*folders: Path) -> float:
    """The seconds that `sha256sum` takes over the shards of some folders."""
    files = [str(path) for folder in folders for path in sorted(folder.glob("*.safetensors"))]
    return seconds(lambda: subprocess.run(["sha256sum", *files], check=True, stdout=subprocess.DEVNULL))


def speed(folder: Path, gigabytes: int) -> str:
    """Full and quick verifications against `sha256sum`."""
    source, edited = folder / "source", folder / "edited"
    source.mkdir()
    in_child(make_checkpoint, source, gigabytes)
    with hub_with(source, folder) as hub:
        in_child(make_edited, "org/base", edited)
        in_child(push_edited, edited)
        os.environ["HF_HOME"] = str(folder / "hf")
        here: dict[str, Any] = {"base": str(source)}
        ways: dict[str, Callable[[], Usage]] = {
            "sha256sum, the edited shards": lambda: Usage(sha256sum(edited), 0, 0),
            "sha256sum, both models' shards": lambda: Usage(sha256sum(edited, source), 0, 0),
            "verify, folder and folder": lambda: in_child(verify_usage, str(edited), here),
            "verify, Hub and cached base": lambda: in_child(verify_usage, REPO, {}),
            "verify, Hub and folder": lambda: in_child(verify_usage, REPO, here),
            "verify --quick, folder and folder": lambda: in_child(verify_usage, str(edited), {**here, **QUICK}),
        }
        found: dict[str, list[Usage]] = {name: [] for name in ways}
        for number in range(ROUNDS):
            for name in reversed(list(ways)) if number % 2 else ways:
                found[name].append(ways[name]())
        # A machine with an empty cache streams the base, or reads pieces of it.
        os.environ["HF_HOME"] = str(folder / "empty")
        hub.reset_traffic()
        found["verify, Hub and Hub, streamed"] = [in_child(verify_usage, REPO, {})]
        sent = hub.traffic["resolve"].bytes_out
        hub.reset_traffic()
        found["verify --quick, Hub and Hub"] = [in_child(verify_usage, REPO, QUICK)]
        little = hub.traffic["resolve"].bytes_out
        asked = sum(hub.traffic[route].requests for route in hub.traffic)
    return _report(found) + f"\nstreamed {sent / 1e6:,.1f} MB; --quick {little / 1e6:,.2f} MB in {asked} requests"


def _report(found: dict[str, list[Usage]]) -> str:
    """One row a way; a ratio above 1 is faster than `sha256sum` over the edited shards."""
    best = min(usage.seconds for usage in found["sha256sum, the edited shards"])
    rows = []
    for name, usages in found.items():
        taken = [usage.seconds for usage in usages]
        peaks = [max(getattr(usage, part) for usage in usages) / MIB for part in ("resident", "anonymous")]
        memory = [f"{peak:.1f}" if peak else "-" for peak in peaks]
        rows.append((name, f"{min(taken):.3f}", f"{median(taken):.3f}", f"{best / min(taken):.2f}", *memory))
    return table(("", "best s", "median s", "speed", "RSS MiB", "anon. MiB"), rows)


def crowd(folder: Path) -> str:
    """Many quick verifications at the same time against one Hub."""
    source, edited = folder / "source", folder / "edited"
    source.mkdir()
    in_child(make_checkpoint, source, 1)
    with hub_with(source, folder) as hub:
        in_child(make_edited, "org/base", edited)
        in_child(push_edited, edited)
        os.environ["HF_HOME"] = str(folder / "empty")
        hub.reset_traffic()
        taken: list[tuple[float, float]] = []
        whole = seconds(lambda: taken.extend(_all_at_once()))
        asked = sum(hub.traffic[route].requests for route in hub.traffic)
        sent = sum(hub.traffic[route].bytes_out for route in hub.traffic)
    times, memory = sorted(spent for spent, _ in taken), max(resident for _, resident in taken)
    return (
        f"{CROWD} at once: {whole:.1f} s in all; each {times[0]:.1f} to {times[-1]:.1f} s, "
        f"median {median(times):.1f} s\n"
        f"{asked / CROWD:.0f} requests and {sent / CROWD / 1e6:.2f} MB each, of both repos; "
        f"at most {memory:.0f} MiB a process, imports included"
    )


def _all_at_once() -> Iterator[tuple[float, float]]:
    """The seconds that each took, and the most memory, in MiB."""
    command = [sys.executable, "-m", "spin_hub.cli.app", "verify", REPO, "--quick", "--quiet"]
    environment = {**os.environ, "HF_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}

    def one(_: int) -> tuple[float, float]:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"A verification ended with {os.waitstatus_to_exitcode(status)}.")
        return time.perf_counter() - started, used.ru_maxrss / 1024

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(one, range(CROWD))


def many_shards(folder: Path) -> str:
    """A checkpoint of many tiny shards, every one of them touched."""
    source, edited = folder / "source", folder / "edited"
    source.mkdir()
    in_child(make_tiny_shards, source)
    in_child(make_edited_tiny, source, edited)
    rows = []
    for name, options in (
        ("full", {"base": str(source)}),
        ("--quick", {"base": str(source), **QUICK}),
    ):
        usages = [in_child(verify_usage, str(edited), options) for _ in range(3)]
        best = min(usages, key=lambda usage: usage.seconds)
        rows.append((name, f"{best.seconds:.2f}", f"{max(usage.anonymous for usage in usages) / MIB:.1f}"))
    return f"{TINY:,} shards of one matrix\n" + table(("", "best s", "anon. MiB"), rows)


def make_tiny_shards(folder: Path) -> None:
    """Writes the shards, the index and a config; in a child."""
    from safetensors.numpy import save_file

    random = np.random.default_rng(0)
    names = {}
    for number in range(TINY):
        file = f"model-{number + 1:05}-of-{TINY:05}.safetensors"
        name = f"model.layers.{number}.mlp.up_proj.weight"
        save_file({name: random.standard_normal((32, 32)).astype(np.float32)}, folder / file)
        names[name] = file
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    (folder / "config.json").write_text("{}")


def make_edited_tiny(source: Path, target: Path) -> None:
    """An edited copy of them: two weights of every matrix; in a child."""
    from spin_hub.core.delta import TensorEdit

    base = open_base(str(source))
    record = record_of(base, SILENT)
    indices = np.array([3, 700])
    edits = {
        name: TensorEdit(place.span.shape, place.span.dtype, indices, base.index.raw(name, indices))
        for name, place in base.index.tensors.items()
    }
    delta = Delta(edits, base_ref(record), SelectionRecipe().to_json())
    write_model_folder(Placed(target, False), base, delta, describe("model", delta, record), SILENT)


@contextmanager
def _place(parent: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="spin-hub-", dir=parent) as folder:
        yield Path(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description="verify against sha256sum, in a crowd, and on many shards.")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made (5.2 GB for each GB)")
    parser.add_argument("--gigabytes", type=int, default=1)
    parser.add_argument("--part", choices=("speed", "crowd", "shards"), action="append")
    options = parser.parse_args()
    gigabytes = options.gigabytes * MATRICES * SHAPE[0] * SHAPE[1] * 2 / 1e9
    print(f"{machine()}\n{gigabytes:.2f} GB, {options.gigabytes * MATRICES * WEIGHTS:,} weights edited\n")
    parts = {"speed": lambda at: speed(at, options.gigabytes), "crowd": crowd, "shards": many_shards}
    for name in options.part or parts:
        with _place(options.folder) as folder:
            print(f"{parts[name](folder)}\n")


if __name__ == "__main__":
    main()
