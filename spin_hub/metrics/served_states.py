"""The states of a measurement as folders, one after the other, for a program that loads models by itself."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from spin_hub.artifacts.base_model import Base
from spin_hub.checkpoint.compat import fit_of
from spin_hub.checkpoint.patch import copy_others, originals, write_patched_copy
from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.core.dtypes import itemsize
from spin_hub.core.selection import Selection
from spin_hub.evidence import BASE
from spin_hub.metrics.held_out import EDITED
from spin_hub.metrics.questions import Asked, Manner
from spin_hub.metrics.served import served
from spin_hub.metrics.states import Sides, control_of
from spin_hub.progress import Reporter, step

Bytes: TypeAlias = Mapping[str, TensorEdit]
"""Tensor name -> positions and the bytes that shall stand there."""


def ask_served(
    sides: Sides, asked: Sequence[Asked], manner: Manner, seed: int, reporter: Reporter
) -> dict[str, dict[str, list[str]]]:
    """Has vLLM answer all questions in every state.

    Returns:
        By set's label and state, the answers in the order of the questions.

    Raises:
        ServerFailed: vLLM did not write the answers.
    """
    with step(reporter, "Comparing the edit with the model"):
        states = _states(sides, seed)
    texts: dict[str, dict[str, list[str]]] = {entry.label: {} for entry in asked}
    prompts = [question for entry in asked for question in entry.questions]
    with reporter.task("Asking through vLLM", len(states), "states") as advance:
        for state, (base, wanted) in states.items():
            with _folder(base, wanted) as folder:
                answers = served(folder, manner.tokenizer, prompts, manner.new_tokens, manner.chat_template)
            for entry in asked:
                count = len(entry.questions)
                texts[entry.label][state], answers = answers[:count], answers[count:]
            advance(1)
    return texts


def _states(sides: Sides, seed: int) -> dict[str, tuple[Base, Bytes]]:
    """State -> the model that it is made from, and what has to be changed in it."""
    delta, base, edited = sides.delta, sides.base, sides.other or sides.base
    if delta is None:
        return {BASE: (base, {}), **({EDITED: (edited, {})} if sides.other else {})}
    holds = fit_of(base.index, delta).all_zero
    restored: Bytes = delta.edits if holds else {}
    switched: Bytes = {} if fit_of(edited.index, delta).all_zero else _zeros(delta)
    control = {name: (base, _with_zeros(restored, delta, chosen)) for name, chosen in control_of(delta, seed).items()}
    return {BASE: (base, restored), EDITED: (edited, switched), **control}


def _zeros(delta: Delta) -> Bytes:
    return {name: replace(edit, original=np.zeros_like(edit.original)) for name, edit in delta.edits.items()}


def _with_zeros(restored: Bytes, delta: Delta, chosen: Selection) -> Bytes:
    """The bytes that restore a base, and zeros at the chosen positions, which win."""
    found = {}
    for name, indices in chosen:
        edit = delta.edits[name]
        zero = np.zeros((len(indices), itemsize(edit.dtype)), np.uint8)
        kept = ~np.isin(edit.indices, indices) if name in restored else np.zeros(len(edit.indices), bool)
        places = np.concatenate([indices, edit.indices[kept]])
        order = np.argsort(places)
        values = np.concatenate([zero, edit.original[kept]])
        found[name] = TensorEdit(edit.shape, edit.dtype, places[order], values[order])
    return found


@contextmanager
def _folder(base: Base, wanted: Bytes) -> Iterator[Path]:
    """A model's folder with the wanted bytes: its own where nothing has to be changed, else a copy for a while."""
    if not wanted:
        yield base.source.folder
        return
    with tempfile.TemporaryDirectory(prefix="spin-hub-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        write_patched_copy(base.index, wanted, originals, folder, lambda _: None)
        copy_others(base.index.folder, set(base.contents.kept) - set(base.index.shards), folder)
        yield folder
