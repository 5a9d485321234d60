"""Answers written by vLLM: every state is a folder, read in a process of its own.

Settings: greedy, on the tokens that transformers would be given, ended by the same tokens. vLLM computes with kernels
of its own, so where two tokens are almost equally likely an answer may differ from that of transformers; every state of
a measurement is written by the same program.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from transformers import GenerationConfig
from transformers.utils import GENERATION_CONFIG_NAME

from spin_hub.artifacts.base_model import Base
from spin_hub.checkpoint.compat import fit_of
from spin_hub.checkpoint.patch import copy_others, originals, write_patched_copy
from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.core.dtypes import itemsize
from spin_hub.core.selection import Selection
from spin_hub.data.chat import Chat, Tokenizer
from spin_hub.errors import MissingDependency, ServerFailed
from spin_hub.evidence import BASE, EDITED
from spin_hub.metrics.answers import AnswerSettings, Asked
from spin_hub.metrics.generation import answer_of, ends_of, prompt_tokens
from spin_hub.metrics.states import ComparedStates, control_of
from spin_hub.progress import Reporter, step

Bytes: TypeAlias = Mapping[str, TensorEdit]
"""Tensor name -> positions and the bytes to write there."""


def _own_end(folder: Path) -> Any:
    """Return the end of an answer by a checkpoint's generation settings, as transformers reads them."""
    if not (folder / GENERATION_CONFIG_NAME).is_file():
        return None
    return GenerationConfig.from_pretrained(folder).eos_token_id


def check_vllm() -> None:
    """Refuse to go on without vLLM.

    Raises:
        MissingDependency: it is not installed.
    """
    if find_spec("vllm") is None:
        raise MissingDependency(package="vllm", command='pip install "spin-hub[vllm]"')


def served(folder: Path, tokenizer: Tokenizer, prompts: Sequence[str], new_tokens: int, chat: Chat | None) -> list[str]:
    """Answer every prompt greedily.

    Args:
        folder: of the model.
        tokenizer: the model's.
        prompts: in any order and of any lengths.
        new_tokens: the most tokens of an answer.
        chat: the tokenizer's chat template, in which a prompt is a user's message; None takes prompts as they are.

    Returns:
        The answers in the order of the prompts, without special tokens.

    Raises:
        NoChatTemplate: the template fails.
        ServerFailed: the process ended with an error, or without answers.
    """
    ends = ends_of(tokenizer, _own_end(folder))
    with tempfile.TemporaryDirectory(prefix="spin-hub-", ignore_cleanup_errors=True) as place:
        request, output = Path(place, "request.json"), Path(place, "answers.json")
        asked = {
            "model": str(folder), "prompts": prompt_tokens(tokenizer, prompts, chat), "ends": ends,
            "new_tokens": new_tokens, "output": str(output),
        }  # fmt: skip
        request.write_text(json.dumps(asked), "utf-8")
        command = [sys.executable, "-m", "spin_hub.metrics.vllm_worker", str(request)]
        ended = subprocess.run(command, stdout=sys.stderr.fileno(), check=False)
        if ended.returncode or not output.is_file():
            raise ServerFailed(why=f"its process ended with {ended.returncode}")
        answers = json.loads(output.read_text("utf-8"))
    if len(answers) != len(prompts):
        raise ServerFailed(why=f"it returned {len(answers)} answers to {len(prompts)} questions")
    return [answer_of(tokenizer, tokens, ends) for tokens in answers]


def ask_served(
    compared: ComparedStates, asked: Sequence[Asked], settings: AnswerSettings, seed: int, reporter: Reporter
) -> dict[str, dict[str, list[str]]]:
    """Let vLLM answer all questions in every state.

    Returns:
        By label of the set and state, the answers in the order of the questions.

    Raises:
        ServerFailed: vLLM did not write the answers.
    """
    with step(reporter, "Comparing the edit with the model"):
        states = _states(compared, seed)
    texts: dict[str, dict[str, list[str]]] = {entry.label: {} for entry in asked}
    prompts = [question for entry in asked for question in entry.questions]
    with reporter.task("Asking through vLLM", len(states), "states") as advance:
        for state, (base, wanted) in states.items():
            with _folder(base, wanted) as folder:
                answers = served(folder, settings.tokenizer, prompts, settings.new_tokens, settings.chat)
            for entry in asked:
                count = len(entry.questions)
                texts[entry.label][state], answers = answers[:count], answers[count:]
            advance(1)
    return texts


def _states(compared: ComparedStates, seed: int) -> dict[str, tuple[Base, Bytes]]:
    """Return by state the model that it is made from, and the bytes to change in it."""
    delta, base, edited = compared.delta, compared.base, compared.other or compared.base
    if delta is None:
        return {BASE: (base, {}), **({EDITED: (edited, {})} if compared.other else {})}
    holds = fit_of(base.index, delta).all_zero
    restored: Bytes = delta.edits if holds else {}
    switched: Bytes = {} if fit_of(edited.index, delta).all_zero else _zeros(delta)
    control = {name: (base, _with_zeros(restored, delta, chosen)) for name, chosen in control_of(delta, seed).items()}
    return {BASE: (base, restored), EDITED: (edited, switched), **control}


def _zeros(delta: Delta) -> Bytes:
    return {name: replace(edit, original=np.zeros_like(edit.original)) for name, edit in delta.edits.items()}


def _with_zeros(restored: Bytes, delta: Delta, chosen: Selection) -> Bytes:
    """Return the bytes that restore a base, with zeros at the chosen positions."""
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
    """Yield a model's folder with the wanted bytes: its own if nothing has to be changed, else a temporary copy."""
    if not wanted:
        yield base.source.folder
        return
    with tempfile.TemporaryDirectory(prefix="spin-hub-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        write_patched_copy(base.index, wanted, originals, folder, lambda _: None)
        copy_others(base.index.folder, set(base.contents.kept) - set(base.index.shards), folder)
        yield folder
