"""Compares the start of spin-hub's light commands with that of Python itself and with an import of torch.

    python benchmarks/startup.py

The commands are `spin-hub --help` and `spin-hub inspect` of a delta of 84 tensors x 33 weights with the shapes of
Qwen2-7B's MLP. Whether torch was imported is read from `sys.modules` after the command ran within Python.
"""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from measure import alternate, machine, table

from spin_hub.artifacts.delta_file import NAME, write_delta
from spin_hub.core.delta import BaseRef, Delta, TensorEdit

LAYERS, WEIGHTS = 28, 33
HIDDEN, INTERMEDIATE = 3584, 18944
ROUNDS = 7
_IMPORTED = """
import contextlib, os, sys
from spin_hub.cli.app import run
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    code = run(sys.argv[1:])
print("yes" if "torch" in sys.modules else "no")
sys.exit(code)
"""


def make_delta() -> Delta:
    """A delta of the size that the paper's ratios give: random positions and values."""
    random = np.random.default_rng(0)
    shapes = {
        "down_proj": (HIDDEN, INTERMEDIATE),
        "gate_proj": (INTERMEDIATE, HIDDEN),
        "up_proj": (INTERMEDIATE, HIDDEN),
    }
    edits = {}
    for layer in range(LAYERS):
        for matrix, shape in shapes.items():
            # Among 68 million positions two equal ones would be rare, but they are not allowed.
            indices = np.sort(random.choice(HIDDEN * INTERMEDIATE, WEIGHTS, replace=False, shuffle=False))
            values = random.integers(1, 256, (WEIGHTS, 2), np.uint8)
            edits[f"model.layers.{layer}.mlp.{matrix}.weight"] = TensorEdit(shape, "BF16", indices, values)
    return Delta(edits, BaseRef("Qwen/Qwen2-7B"), {"rule": "paper", "p": 5e-7, "q": 5e-7})


def run(command: list[str]) -> None:
    """Runs a command to its end, without its output."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def imports_torch(arguments: list[str]) -> str:
    """Whether spin-hub imports torch for a command line: yes or no."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTED, *arguments], check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    return done.stdout.strip()


def measured(delta: Path) -> str:
    """Times all commands in turns and gives the table; ratios are those to Python itself."""
    commands = {"spin-hub --help": ["--help"], "spin-hub inspect DELTA": ["inspect", str(delta)]}
    program = str(Path(sys.executable).with_name("spin-hub"))
    lines = {"python -c pass": [sys.executable, "-c", "pass"]}
    lines |= {name: [program, *arguments] for name, arguments in commands.items()}
    lines["python -c 'import torch'"] = [sys.executable, "-c", "import torch"]
    times = alternate({name: partial(run, line) for name, line in lines.items()}, ROUNDS)
    base = median(times["python -c pass"])
    rows = []
    for name, taken in times.items():
        torch = imports_torch(commands[name]) if name in commands else "-"
        best, middle = min(taken), median(taken)
        rows.append((name, f"{best:.3f}", f"{middle:.3f}", f"{middle / base:.1f}", torch))
    return table(("command", "best s", "median s", "median/python", "imports torch"), rows)


def main() -> None:
    print(machine())
    with tempfile.TemporaryDirectory(prefix="spin-hub-") as folder:
        delta = Path(folder) / NAME
        write_delta(delta, make_delta())
        size, weights = delta.stat().st_size, 3 * LAYERS * WEIGHTS
        print(f"the delta: {size:,} bytes for {weights:,} weights in {3 * LAYERS} tensors; {ROUNDS} rounds\n")
        # The first run may compile modules and read them from the disk.
        run([str(Path(sys.executable).with_name("spin-hub")), "inspect", str(delta)])
        print(measured(delta))


if __name__ == "__main__":
    main()
