"""Answers written by vLLM, from a model's folder, in a process of its own.

Settings: greedy, on the tokens that transformers would be given, ended by the same tokens. vLLM computes with kernels
of its own, so where two tokens are almost equally likely an answer may differ from that of transformers; every state of
a measurement is written by the same program.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import GenerationConfig
from transformers.utils import GENERATION_CONFIG_NAME

from spin_hub.errors import MissingDependency, ServerFailed
from spin_hub.metrics.answers import Tokenizer, answer_of, ends_of, prompt_tokens


def _own_end(folder: Path) -> Any:
    """What a checkpoint's generation settings say of the end of an answer, as transformers reads them."""
    if not (folder / GENERATION_CONFIG_NAME).is_file():
        return None
    return GenerationConfig.from_pretrained(folder).eos_token_id


def check_vllm() -> None:
    """Refuses where vLLM is not installed.

    Raises:
        MissingDependency: it is not.
    """
    if find_spec("vllm") is None:
        raise MissingDependency(package="vllm", command='pip install "spin-hub[vllm]"')


def served(
    folder: Path, tokenizer: Tokenizer, prompts: Sequence[str], new_tokens: int, chat_template: bool
) -> list[str]:
    """Answers every prompt greedily.

    Args:
        folder: of the model.
        tokenizer: the model's.
        prompts: in any order and of any lengths.
        new_tokens: the most tokens of an answer.
        chat_template: whether a prompt is put into the tokenizer's chat template, as a user's message.

    Returns:
        The answers in the order of the prompts, without special tokens.

    Raises:
        NoChatTemplate: it is asked for and cannot be used.
        ServerFailed: the process ended with an error, or gave no answers.
    """
    ends = ends_of(tokenizer, _own_end(folder))
    with tempfile.TemporaryDirectory(prefix="spin-hub-", ignore_cleanup_errors=True) as place:
        request, output = Path(place, "request.json"), Path(place, "answers.json")
        asked = {
            "model": str(folder), "prompts": prompt_tokens(tokenizer, prompts, chat_template), "ends": ends,
            "new_tokens": new_tokens, "output": str(output),
        }  # fmt: skip
        request.write_text(json.dumps(asked), "utf-8")
        command = [sys.executable, "-m", "spin_hub.metrics.vllm_worker", str(request)]
        ended = subprocess.run(command, stdout=sys.stderr.fileno(), check=False)
        if ended.returncode or not output.is_file():
            raise ServerFailed(why=f"its process ended with {ended.returncode}")
        answers = json.loads(output.read_text("utf-8"))
    if len(answers) != len(prompts):
        raise ServerFailed(why=f"it gave {len(answers)} answers to {len(prompts)} questions")
    return [answer_of(tokenizer, tokens, ends) for tokens in answers]
