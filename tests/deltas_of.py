"""Deltas of checkpoints, made by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spin_hub.checkpoint.digests import digests
from spin_hub.checkpoint.index import read_index
from spin_hub.core.delta import BaseRef, Delta, TensorEdit

UP, DOWN = "model.layers.0.mlp.up_proj.weight", "model.layers.3.mlp.down_proj.weight"
METHOD = {"rule": "paper", "expression": "(fairness & privacy) - general", "ratios": {"fairness": 1e-3}}


def delta_of(folder: Path, positions: Mapping[str, Sequence[int]] | None = None) -> Delta:
    """A delta of a checkpoint; by default of five weights in two matrices."""
    index = read_index(folder)
    edits = {}
    for name, entries in (positions or {UP: (3, 70, 2000), DOWN: (0, 9)}).items():
        span, indices = index.tensors[name].span, np.array(entries, np.int64)
        edits[name] = TensorEdit(span.shape, span.dtype, indices, index.raw(name, indices))
    return Delta(edits, BaseRef(files=digests(folder, index.shards, lambda _: None)), METHOD)
