"""A Hub with bases and users, and folders that are ready to be pushed."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import server
from pushing import THERE, TOKENS, Desk

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import open_base, record_of
from spin_hub.artifacts.open import base_ref
from spin_hub.artifacts.write import describe, write_delta_folder
from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.progress import SILENT

UP, DOWN = "model.layers.0.mlp.up_proj.weight", "model.layers.3.mlp.down_proj.weight"
METHOD = {"rule": "paper", "expression": "(fairness & privacy) - general", "p": 1e-2, "q": 1e-1}


@dataclass(frozen=True)
class Stock:
    """What is made once: the storage of a Hub with the bases, and what was made from them.

    Attributes:
        storage: of a Hub with ``org/tiny``, in three shards, ``org/whole``, in one, and ``edited`` as ``alice/there``.
        edited: an edit of ``org/tiny`` that touches its first shard.
        other: another edit of ``org/tiny``, which touches the first shard elsewhere, and the third.
        whole: an edit of ``org/whole``.
        delta: the delta of ``edited`` alone.
    """

    storage: Path
    edited: Path
    other: Path
    whole: Path
    delta: Path


def stocked(storage: Path) -> server.LocalHub:
    """A Hub with users over a storage."""
    hub = server.LocalHub(storage)
    hub.add_user("alice", TOKENS["alice"], orgs=["acme"])
    hub.add_user("bob", TOKENS["bob"])
    hub.add_user("alice", TOKENS["reader"], "read", orgs=["acme"])
    scopes = {"alice/only-this": ("repo.write",), "datasets/alice/tiny-spin": ("repo.write",)}
    hub.add_user("alice", TOKENS["narrow"], "fineGrained", scopes=scopes)
    return hub


def a_delta(folder: Path, model: str, places: Mapping[str, list[int]]) -> Path:
    """Writes a delta, with its record and card, of positions chosen by hand."""
    base = open_base(model)
    edits = {}
    for name, positions in places.items():
        indices, span = np.array(positions), base.index.tensors[name].span
        edits[name] = TensorEdit(span.shape, span.dtype, indices, base.index.raw(name, indices))
    record = record_of(base, SILENT)
    delta = Delta(edits, base_ref(record), METHOD)
    write_delta_folder(Placed(folder, False), base, delta, describe("delta", delta, record))
    return folder


def made(folder: Path, tiny: Path, sharded: Path) -> Stock:
    """Stocks a Hub and makes the edits, with the command line."""
    with stocked(folder / "storage") as hub:
        hub.put("org/tiny", sharded)
        hub.put("org/whole", tiny)
        desk = Desk(hub, folder)
        with desk.client(io.StringIO(), {}):
            a_delta(folder / "delta", "org/tiny", {UP: [3, 70, 2000]})
            a_delta(folder / "delta-2", "org/tiny", {UP: [5, 71], DOWN: [9, 1999]})
            a_delta(folder / "delta-3", "org/whole", {UP: [1, 2, 3]})
        for delta, model, name in (
            ("delta", "org/tiny", "edited"),
            ("delta-2", "org/tiny", "other"),
            ("delta-3", "org/whole", "whole"),
        ):
            done = desk.run("apply", folder / delta, model, "-o", folder / name)
            assert done.code == 0, done.stderr
        assert desk.push(folder / "edited", repo=THERE).code == 0
    return Stock(folder / "storage", folder / "edited", folder / "other", folder / "whole", folder / "delta")
