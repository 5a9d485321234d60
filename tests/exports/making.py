"""Small deltas of any checkpoint, and what a delta's modules are."""

from pathlib import Path

import numpy as np

from spin_hub.artifacts.delta_file import write_delta
from spin_hub.checkpoint.digests import digests
from spin_hub.checkpoint.index import read_index
from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.models.load import load_skeleton

LINEAR = ("mlp.", "self_attn.", "attn.c_", ".h.", ".experts.")


def delta_of(folder: Path, seed: int = 0, share: float = 0.02, only: str = "") -> Delta:
    """Weights drawn at random from the matrices of the decoder layers, of most of them."""
    index, random = read_index(folder), np.random.default_rng(seed)
    edits = {}
    for name, place in sorted(index.tensors.items()):
        shape = place.span.shape
        chosen = only in name and any(part in name for part in LINEAR) and len(shape) == 2
        if chosen and name.endswith(".weight") and random.random() < 0.8:
            count = int(random.integers(1, max(2, share * np.prod(shape))))
            indices = np.sort(random.choice(int(np.prod(shape)), count, replace=False))
            edits[name] = TensorEdit(shape, place.span.dtype, indices, index.raw(name, indices))
    files = digests(folder, [path.name for path in folder.iterdir()], lambda _: None)
    return Delta(edits, BaseRef(files=files), {"rule": "paper", "ratios": {}})


def delta_file(folder: Path, path: Path, **options) -> Path:
    write_delta(path, delta_of(folder, **options))
    return path


def skeleton_of(folder: Path):
    return load_skeleton(read_index(folder), trust_remote_code=False)
