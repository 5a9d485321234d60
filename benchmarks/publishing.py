"""Compares an edited copy of a Hub model with a mere `cp` of it, and measures pushing that copy once and again.

    python benchmarks/publishing.py [--folder DIR] [--gigabytes N]

The Hub is the one of the tests, on this machine, in the process that waits; each action has a fresh process of its
own. The checkpoint has, per GB, 72 random bfloat16 matrices in 4 shards, each with 33 weights to zero. It lies in the
Hub's cache already, and its files are warm in the page cache; nothing waits for the disk. Memory is the peak above
the imports. A push takes as long as the Hub takes to check what arrives, so the client's own upload stands beside.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from huggingface_hub import HfApi
from measure import Usage, in_child, machine, seconds, table, used_by
from patching import MATRICES, SHAPE, SHARDS, WEIGHTS, clear, copy, make_checkpoint, make_delta

from spin_hub.artifacts.base_model import open_base, record_of
from spin_hub.artifacts.delta_file import read_delta, write_delta
from spin_hub.artifacts.open import base_ref
from spin_hub.artifacts.publish import PushOptions
from spin_hub.checkpoint.index import CheckpointIndex, read_index
from spin_hub.checkpoint.patch import State, state_of
from spin_hub.progress import SILENT
from spin_hub.recipe import Destination, SelectionRecipe
from spin_hub.workflows.apply import apply
from spin_hub.workflows.push import push

MODEL, USER, TOKEN = "org/base", "alice", "hf_alice"
ROUNDS, PUSHES = 5, 3
SETTLED = 3
"""Seconds after which a file that was left alone counts as unchanged."""
MIB, MB = 1 << 20, 1e6


@dataclass(frozen=True)
class Sent:
    """A push: what it took, the large bytes that the Hub received, and all bytes that the command says it sent."""

    usage: Usage
    large: int
    said: int | None


@contextmanager
def hub_with(checkpoint: Path, folder: Path) -> Iterator[Any]:
    """A Hub that holds a checkpoint as MODEL; processes begun from here are its clients."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "hub"))
    # Only found by now: the tests are no package.
    import server

    with server.LocalHub(folder / "hub") as hub:
        hub.add_user(USER, TOKEN)
        hub.put(MODEL, checkpoint)
        os.environ.update(hub.environment(folder / "hf", TOKEN))
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        yield hub


def download(delta: Path) -> CheckpointIndex:
    """Brings MODEL into the cache and writes a delta for it; runs in a child, as all that asks the Hub."""
    base = open_base(MODEL)
    found = make_delta(base.index)
    method = {**SelectionRecipe().to_json(), "tensors": len(found.edits), "weights": found.weights}
    write_delta(delta, replace(found, base=base_ref(record_of(base, SILENT)), method=method))
    return base.index


def apply_usage(delta: Path, target: Path) -> Usage:
    """What `apply` takes; runs in a child."""
    return used_by(lambda: apply(delta, MODEL, Destination(target)))


def push_usage(folder: Path, repo_id: str) -> tuple[Usage, int | None]:
    """What `push` takes, and the bytes that it says it sent; runs in a child."""
    outcomes = []
    usage = used_by(lambda: outcomes.append(push(folder, PushOptions(repo_id))))
    pushed = outcomes[0].pushed
    return usage, pushed.sent if pushed else None


def upload_usage(folder: Path, repo_id: str) -> tuple[Usage, int | None]:
    """What the client's own upload of a folder into a new repo takes; runs in a child."""

    def upload() -> None:
        HfApi().create_repo(repo_id)
        HfApi().upload_folder(repo_id=repo_id, folder_path=folder)

    return used_by(upload), None


def measured_apply(index: CheckpointIndex, delta: Path, folder: Path) -> dict[str, list[Usage]]:
    """Copies by `cp` and by `apply`, in turns; of a base that it sees for the first time, `apply` takes the hashes."""
    target, remembered = folder / "target", folder / "cache" / "spin-hub"

    def mere_copy() -> Usage:
        return Usage(seconds(lambda: copy(index, target)), 0, 0)

    def first_time() -> Usage:
        shutil.rmtree(remembered, ignore_errors=True)
        return in_child(apply_usage, delta, target / "edited")

    def base_known() -> Usage:
        return in_child(apply_usage, delta, target / "edited")

    actions = {"cp": mere_copy, "apply, first time": first_time, "apply, base known": base_known}
    usages: dict[str, list[Usage]] = {name: [] for name in actions}
    for number in range(ROUNDS):
        # None is always the one that finds the caches as the same other left them; the hashes outlive a round.
        for name in reversed(list(actions)) if number % 2 else actions:
            clear(target)
            usages[name].append(actions[name]())
    clear(target)
    base_known()
    if state_of(read_index(target / "edited"), read_delta(delta)) is not State.EDITED:
        raise SystemExit("The copy does not hold the edit.")
    return usages


def measured_pushes(hub: Any, edited: Path) -> dict[str, list[Sent]]:
    """Pushes of one folder: into a new repo, again into the same, and by the client alone."""
    actions = {"push": (push_usage, "spin"), "push again": (push_usage, "spin"), "client alone": (upload_usage, "all")}
    found: dict[str, list[Sent]] = {name: [] for name in actions}
    for number in range(PUSHES):
        for name, (action, repo) in actions.items():
            hub.reset_traffic()
            usage, said = in_child(action, edited, f"{USER}/{repo}-{number}")
            found[name].append(Sent(usage, hub.traffic["put"].bytes_in, said))
    return found


def apply_table(usages: Mapping[str, list[Usage]]) -> str:
    """One row for each way to a copy; ratios are those to `cp`."""
    rows = []
    reference = [usage.seconds for usage in usages["cp"]]
    for name, found in usages.items():
        taken = [usage.seconds for usage in found]
        ratios = min(taken) / min(reference), median(taken) / median(reference)
        times = [f"{figure:.3f}" for figure in (min(taken), median(taken))]
        rows.append((name, *times, *(f"{ratio:.2f}" for ratio in ratios), *_memory(found, name != "cp")))
    return table(("", "best s", "median s", "best/cp", "median/cp", "RSS MiB", "anon. MiB"), rows)


def push_table(sent: Mapping[str, list[Sent]]) -> str:
    """One row for each way to push."""
    rows = []
    for name, found in sent.items():
        taken = [entry.usage.seconds for entry in found]
        said = found[-1].said
        cells = [f"{min(taken):.2f}", f"{median(taken):.2f}", f"{max(entry.large for entry in found) / MB:,.1f}"]
        cells.append("-" if said is None else f"{said / MB:,.1f}")
        rows.append((name, *cells, *_memory([entry.usage for entry in found], True)))
    return table(("", "best s", "median s", "LFS MB", "said MB", "RSS MiB", "anon. MiB"), rows)


def _memory(usages: list[Usage], known: bool) -> list[str]:
    peaks = ([usage.resident for usage in usages], [usage.anonymous for usage in usages])
    return [f"{max(peak) / MIB:.1f}" if known else "-" for peak in peaks]


def run(folder: Path, gigabytes: int) -> None:
    """Makes the checkpoint, measures, and prints both tables; pushes of one gigabyte tell all there is to tell."""
    source, delta = folder / "source", folder / "delta.safetensors"
    source.mkdir()
    in_child(make_checkpoint, source, gigabytes)
    with hub_with(source, folder) as hub:
        shutil.rmtree(source)
        index = in_child(download, delta)
        time.sleep(SETTLED)
        print(apply_table(measured_apply(index, delta, folder)), end="\n\n")
        if gigabytes == 1:
            print(push_table(measured_pushes(hub, folder / "target" / "edited")))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="apply against cp, and pushes, with a Hub on this machine.")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made (4.2 GB for each GB)")
    parser.add_argument("--gigabytes", type=int, default=1, help="of weights; pushes are measured with one alone")
    options = parser.parse_args()
    times = options.gigabytes
    gigabytes, weights = times * MATRICES * SHAPE[0] * SHAPE[1] * 2 / 1e9, times * MATRICES * WEIGHTS
    print(f"{machine()}\n{gigabytes:.2f} GB in {times * SHARDS} shards, {weights:,} weights edited, {ROUNDS} rounds\n")
    with tempfile.TemporaryDirectory(prefix="spin-hub-", dir=options.folder) as folder:
        run(Path(folder), times)
    print("RSS counts pages of mapped files too; anonymous memory is the process's own.")


if __name__ == "__main__":
    main()
