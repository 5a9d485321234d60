"""What apply, revert and push take of memory: little, whatever the model's size, and never torch.

Each command runs in a process of its own. Its memory is the kernel's record of the most that was resident, mapped
files included, above what the imports had taken.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import server

from spin_hub.artifacts.delta_file import write_delta
from spin_hub.checkpoint.digests import digests
from spin_hub.checkpoint.index import read_index
from spin_hub.core.delta import BaseRef, Delta, TensorEdit

pytestmark = pytest.mark.moderate

MIB = 1 << 20
LIMIT = 200_000_000
LAYERS, WEIGHTS = 32, 33
SMALL, LARGE = (64 * MIB, 4), (256 * MIB, 32)
"""Bytes and shards: the larger one does not fit into what is allowed, and has as many shards as a model of 70B."""

PROBE = """
import importlib, json, os, sys
from pathlib import Path

# Threads, each with blocks of its own, are then as many as on a large machine.
os.cpu_count = lambda: 64

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))

from spin_hub.cli.app import run
task = json.loads(sys.argv[1])
for module in task["imports"]:
    importlib.import_module(module)
before = None
if task["imports"]:
    # This sets the kernel's own record of the peak back to what is resident now.
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
for line in task["lines"]:
    code = run(line)
    slow = {"torch", "transformers", "datasets", "peft", "pandas"} & set(sys.modules)
    if code or slow:
        sys.exit(f"{line}: exit code {code}, imported {slow}")
print("" if before is None else status("VmHWM") - before, file=sys.stderr)
"""


class Machine:
    """A folder with checkpoints, a Hub, and commands in processes of their own."""

    def __init__(self, hub: server.LocalHub, folder: Path) -> None:
        self.hub = hub
        self.folder = folder

    def run(self, *lines: list[str], imports: tuple[str, ...] = ()) -> str:
        """Runs command lines one after another; none of them may fail or import what takes seconds and memory.

        Returns:
            The peak of the memory in bytes above what the imports took, where any are named.
        """
        environment = self.hub.environment(self.folder / "hf", "hf_alice")
        environment["XDG_CACHE_HOME"] = str(self.folder / "cache")
        command = [sys.executable, "-c", PROBE, json.dumps({"imports": imports, "lines": lines})]
        done = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with server.LocalHub() as hub:
        hub.add_user("alice", "hf_alice")
        yield Machine(hub, tmp_path_factory.mktemp("memory"))


def make_checkpoint(folder: Path, size: int, shards: int) -> Path:
    """A checkpoint in shards whose files are holes but for the headers and the weights that a delta touches."""
    folder.mkdir()
    width = size // (2 * LAYERS * 1024)
    nbytes = 2 * 1024 * width
    places: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        names = [f"model.layers.{layer}.mlp.up_proj.weight" for layer in range(shard, LAYERS, shards)]
        spans = {
            name: {"dtype": "BF16", "shape": [1024, width], "data_offsets": [place * nbytes, (place + 1) * nbytes]}
            for place, name in enumerate(names)
        }
        header = json.dumps({"__metadata__": {"format": "pt"}, **spans}).encode()
        with (folder / file).open("wb") as written:
            written.write(len(header).to_bytes(8, "little") + header)
            written.truncate(8 + len(header) + nbytes * len(names))
        places |= dict.fromkeys(names, file)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}), "utf-8")
    return folder


def make_delta(model: Path, path: Path) -> None:
    """Touches weights all over the checkpoint, and gives them values there."""
    index = read_index(model)
    edits = {}
    for name, place in index.tensors.items():
        count = place.span.nbytes // 2
        indices = np.linspace(0, count - 1, WEIGHTS).astype(np.int64)
        with (model / place.shard).open("r+b") as file:
            for number in indices.tolist():
                file.seek(place.span.start + 2 * number)
                file.write(b"\x80\x3f")
        edits[name] = TensorEdit(place.span.shape, place.span.dtype, indices, index.raw(name, indices))
    base = BaseRef(files=digests(model, [file.name for file in model.iterdir()], lambda _: None))
    write_delta(path, Delta(edits, base, {"rule": "paper", "ratios": {}}))


@pytest.fixture(scope="module")
def peaks(machine: Machine) -> dict[str, list[int]]:
    """By verb, the peaks with the smaller and the larger checkpoint."""
    found: dict[str, list[int]] = {"apply": [], "revert": [], "push": []}
    for size, shards in (SMALL, LARGE):
        delta, edited, back = f"d{size}.safetensors", f"e{size}", f"b{size}"
        model = make_checkpoint(machine.folder / f"m{size}", size, shards)
        make_delta(model, machine.folder / delta)
        lines = {
            "apply": ["apply", delta, model.name, "-o", edited],
            "push": ["push", edited],
            "revert": ["revert", edited, "-o", back],
        }
        for verb, line in lines.items():
            found[verb].append(int(machine.run(line, imports=(f"spin_hub.workflows.{verb}",))))
        assert machine.hub.traffic["put"].bytes_in >= size
        for folder in (model, machine.folder / edited, machine.folder / back):
            for shard in folder.glob("*.safetensors"):
                # All of it goes at once; pytest would keep it for some days.
                shard.unlink()
    return found


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of memory")
@pytest.mark.parametrize("verb", ["apply", "revert", "push"])
def test_memory_stays_below_200_mb_and_does_not_grow_with_the_model(peaks, verb):
    small, large = peaks[verb]
    assert large < LIMIT, f"{large / MIB:.0f} MiB"
    # A push of several shards has the client's buffers for each that it sends at once, some 60 MiB.
    assert large - small < (LARGE[0] - SMALL[0]) / 2, f"from {small / MIB:.0f} to {large / MIB:.0f} MiB"


def test_looking_at_what_was_made_needs_no_slow_library(machine):
    model = make_checkpoint(machine.folder / "tiny", LAYERS * 4096, 2)
    make_delta(model, machine.folder / "tiny.safetensors")
    machine.run(["apply", "tiny.safetensors", "tiny", "--plan"], ["apply", "tiny.safetensors", "tiny", "--push"])
    machine.run(
        ["--help"], ["edit", "--help"], ["list"], ["card", "tiny-spin"], ["inspect", "tiny-spin", "--png", "plots"],
        ["inspect", "alice/tiny-spin"], ["revert", "alice/tiny-spin", "-o", "tiny-back"],
    )  # fmt: skip
