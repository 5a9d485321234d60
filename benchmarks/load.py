"""Large deltas, many shards and a busy Hub: what they take in time and memory.

    python benchmarks/load.py [--weights 10000000] [--shards 2000] [--repos 500]

Every action has a fresh process; memory is the peak of what is not a mapped file, above the imports. The checkpoints
are random bfloat16; the Hub is that of the tests, on this machine.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import Usage, in_child, machine, table, used_by
from safetensors.numpy import save_file

from spin_hub.artifacts.delta_file import read_delta, write_delta
from spin_hub.checkpoint.digests import digests
from spin_hub.checkpoint.index import read_index
from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.recipe import Destination
from spin_hub.workflows.apply import apply
from spin_hub.workflows.inspect import inspect
from spin_hub.workflows.revert import revert

MATRICES, SHAPE = 20, (4096, 4096)
MIB = 1 << 20


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=int, default=10_000_000)
    parser.add_argument("--shards", type=int, default=2000)
    parser.add_argument("--repos", type=int, default=500)
    asked = parser.parse_args()
    print(machine())
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        large = checkpoint(folder / "large", MATRICES, SHAPE)
        rows += steps(f"{asked.weights:,} weights", folder / "a", large, asked.weights)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        many = checkpoint(folder / "many", asked.shards, (64, 64))
        rows += steps(f"{asked.shards:,} shards", folder / "b", many, 10 * asked.shards)
        rows.append(listing(folder, asked.repos))
    print(table(("what", "action", "seconds", "MiB"), rows))


def checkpoint(folder: Path, shards: int, shape: tuple[int, int]) -> Path:
    """A checkpoint of one random bfloat16 matrix a shard, and its index."""
    folder.mkdir()
    random = np.random.default_rng(0)
    places = {}
    for number in range(shards):
        name, shard = f"model.layers.{number}.mlp.up_proj.weight", f"model-{number + 1:05}-of-{shards:05}.safetensors"
        # numpy has no bfloat16: the bits are written as whole numbers, and the header is put right.
        save_file({name: random.integers(1, 2**14, shape, np.uint16)}, folder / shard)
        places[name] = shard
        data = (folder / shard).read_bytes()
        (folder / shard).write_bytes(_typed(data))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    return folder


def _typed(data: bytes) -> bytes:
    """A shard whose elements are called bfloat16."""
    size = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + size].replace(b'"U16"', b'"BF16"').rstrip()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def steps(what: str, folder: Path, base: Path, weights: int) -> list[tuple[str, ...]]:
    """Writes, reads, inspects, applies and reverts a delta."""
    folder.mkdir()
    path = folder / "spin_delta.safetensors"
    found = []
    for name, action in {
        "write": _write,
        "read": _read,
        "inspect": _inspect,
        "apply": _apply,
        "revert": _revert,
    }.items():
        usage: Usage = in_child(action, path, base, weights)
        found.append((what, name, f"{usage.seconds:.2f}", f"{usage.anonymous / MIB:,.0f}"))
    found.append((what, "delta file", "", f"{path.stat().st_size / MIB:,.0f}"))
    return found


def _write(path: Path, base: Path, weights: int) -> Usage:
    index, random = read_index(base), np.random.default_rng(1)
    each = weights // len(index.tensors)
    edits = {}
    for name, place in index.tensors.items():
        indices = np.sort(random.choice(int(np.prod(place.span.shape)), each, replace=False))
        edits[name] = TensorEdit(place.span.shape, place.span.dtype, indices, index.raw(name, indices))
    files = digests(base, [file.name for file in base.iterdir()], lambda _: None)
    delta = Delta(edits, BaseRef(files=files), {"rule": "paper", "ratios": {}})
    return used_by(lambda: write_delta(path, delta))


def _read(path: Path, base: Path, weights: int) -> Usage:
    return used_by(lambda: read_delta(path))


def _inspect(path: Path, base: Path, weights: int) -> Usage:
    return used_by(lambda: inspect(path))


def _apply(path: Path, base: Path, weights: int) -> Usage:
    return used_by(lambda: apply(str(path), str(base), Destination(path.parent / "out")))


def _revert(path: Path, base: Path, weights: int) -> Usage:
    return used_by(lambda: revert(str(path.parent / "out"), Destination(path.parent / "back")))


def listing(folder: Path, repos: int) -> tuple[str, ...]:
    """Lists that many repos of a Hub."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "hub"))
    # Only found by now: the tests are no package.
    import server

    card = "---\nlibrary_name: spin-hub\ntags:\n- spin-hub\n- spin\n"
    card += "spin_hub:\n  kind: delta\n  weights: 3\n---\n\n# A delta\n"
    with server.LocalHub() as hub:
        for number in range(repos):
            hub.put(f"alice/delta-{number}", {"README.md": card.encode(), "spin.json": b"{}"})
        os.environ |= {name: value for name, value in hub.environment(folder / "hf").items() if name.startswith("HF_")}
        usage: Usage = in_child(_list, repos)
    return f"{repos:,} repos", "list", f"{usage.seconds:.2f}", f"{usage.anonymous / MIB:,.0f}"


def _list(repos: int) -> Usage:
    from spin_hub.workflows.listing import find

    def check() -> None:
        found = find(None, None, repos)
        assert len(found) == repos, len(found)

    return used_by(check)


if __name__ == "__main__":
    main()
