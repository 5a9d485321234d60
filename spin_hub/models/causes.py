"""Why transformers cannot load a folder: one ordered table from what it raises to a sentence and what to do."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from spin_hub.core.json import parse
from spin_hub.errors import ModelNotLoadable, first_line

UPDATE: Final = "Update it: pip install -U transformers."
_AGAIN: Final = "Download or save its files again."
_COPY: Final = "Copy tokenizer.json and tokenizer_config.json of the model that it comes from into the folder."
_CODE: Final = "Read that code, and add --trust-remote-code."
_OTHERWISE: Final = (
    "transformers.AutoModelForCausalLM.from_pretrained says more of it; a newer transformers may load it."
)


@dataclass(frozen=True)
class Failure:
    """An error of transformers or tokenizers, and the folder that it was raised for."""

    folder: Path
    error: BaseException
    trusted: bool

    @property
    def text(self) -> str:
        """The whole text of the error and of what caused it."""
        return f"{self.error} {self.error.__cause__ or ''}"

    @property
    def reason(self) -> str:
        """The first line of the error, or of its cause if it only says that a config is not valid."""
        cause = self.error.__cause__ if isinstance(self.error, StrictDataclassError) else None
        return first_line(cause or self.error)


@dataclass(frozen=True)
class Cause:
    """One row of the table.

    Attributes:
        holds: tells whether a failure has this cause.
        sentence: of the failure's ``folder``, ``reason``, ``found`` and ``version``.
        hint: with the same facts.
        finds: a pattern of the error's text whose first group is ``found``.
    """

    holds: Callable[[Failure], bool]
    sentence: str
    hint: str
    finds: str = ""

    def facts(self, failure: Failure) -> dict[str, str]:
        """Return what the sentence and the hint are made of."""
        match = re.search(self.finds, failure.text) if self.finds else None
        return {
            "folder": str(failure.folder),
            "reason": failure.reason,
            "found": next((group for group in match.groups() if group), "") if match else "",
            "version": transformers.__version__,
        }


def _says(pattern: str) -> Callable[[Failure], bool]:
    return lambda failure: re.search(pattern, failure.text) is not None


def _needs_code(failure: Failure) -> bool:
    return not failure.trusted and "trust_remote_code" in failure.text


_PACKAGE: Final = r"pip install (?:-U |--upgrade )?[`'\"]?([\w-]+)|No module named '([\w-]+)|requires the (\w+) library"
_TYPE: Final = r"model (?:of )?type [`'\"](\S+?)[`'\"]"

# The first row that holds is taken.
CAUSES: Final = (
    Cause(_needs_code, "{folder} needs code of its own, which runs only where that is allowed.", _CODE),
    Cause(
        _says(_TYPE), "transformers {version} does not know the model type {found!r} of {folder}.", UPDATE, finds=_TYPE
    ),
    Cause(
        lambda failure: isinstance(failure.error, ImportError) and re.search(_PACKAGE, failure.text) is not None,
        "{folder} needs the package {found}, which is not installed.",
        "pip install {found}",
        finds=_PACKAGE,
    ),
    Cause(
        _says(r"(?i)couldn't connect|local_files_only|cannot find the requested files"),
        "{folder} needs files that are not in it: {reason}.",
        "Put them into the folder: code and files of other repos are not fetched.",
    ),
    Cause(
        lambda failure: isinstance(failure.error, StrictDataclassError),
        "The config.json of {folder} is not valid: {reason}.",
        "Mend that entry of config.json.",
    ),
    Cause(
        lambda failure: isinstance(failure.error, SafetensorError),
        "The weights of {folder} cannot be read: {reason}.",
        _AGAIN,
    ),
    Cause(lambda _: True, "transformers could not load {folder}: {reason}.", _OTHERWISE),
)


def not_loadable(folder: Path, error: BaseException, trusted: bool) -> ModelNotLoadable:
    """Return the error for a model that transformers refuses.

    Args:
        folder: the model.
        error: what transformers raised.
        trusted: whether the model's own code was allowed to run.
    """
    return _made(CAUSES, Failure(folder, error, trusted))


def _made(table: tuple[Cause, ...], failure: Failure) -> ModelNotLoadable:
    cause = next(cause for cause in table if cause.holds(failure))
    facts = cause.facts(failure)
    return ModelNotLoadable(
        cause.sentence.format(**facts), hint=cause.hint.format(**facts), path=failure.folder, why=failure.reason
    )


_PIECES: Final = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
_VOCABULARIES: Final = ("tokenizer.json", "vocab.json", "vocab.txt", *_PIECES)


def _only(*names: str) -> Callable[[Failure], bool]:
    """A condition on the folder: of the files that hold a vocabulary it has these alone."""

    def holds(failure: Failure) -> bool:
        there = {name for name in (*_VOCABULARIES, "tekken.json") if (failure.folder / name).is_file()}
        return bool(there) and there <= set(names) if names else not there

    return holds


def _without_sentencepiece(failure: Failure) -> bool:
    return _only(*_PIECES)(failure) and not (find_spec("sentencepiece") and find_spec("google"))


TOKENIZER_CAUSES: Final = (
    CAUSES[0],
    Cause(
        lambda failure: failure.folder.parent.name == "snapshots" and _only()(failure),
        "The copy of the model in the Hub's cache, {folder}, has no tokenizer.",
        "Run the same command once online, which fetches what the repo has; if it has none, download the model to a "
        "folder of your own and put a tokenizer there.",
    ),
    Cause(
        _only(),
        "{folder} has no tokenizer.",
        _COPY,
    ),
    Cause(
        _without_sentencepiece,
        "The tokenizer of {folder} is a SentencePiece file alone, and the packages that read it are not installed.",
        "pip install sentencepiece protobuf",
    ),
    Cause(
        _only("tekken.json"),
        "The tokenizer of {folder} is only tekken.json, in Mistral's own format.",
        "Use a copy of the model with tokenizer.json, or pip install mistral-common.",
    ),
    *CAUSES[2:4],
    Cause(
        _says("instantiate the backend tokenizer"),
        "The tokenizer of {folder} is not whole: tokenizer.json is missing, and the other files are not enough.",
        _COPY,
    ),
    Cause(lambda _: True, "The tokenizer of {folder} cannot be read: {reason}.", _AGAIN),
)


def tokenizer_not_loadable(folder: Path, error: BaseException, trusted: bool) -> ModelNotLoadable:
    """Return the error for a tokenizer that transformers refuses; the arguments are those of :func:`not_loadable`."""
    return _made(TOKENIZER_CAUSES, Failure(folder, error, trusted))


def check_type(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse a config whose model type transformers does not know, unless the model brings its own code.

    Raises:
        ModelNotLoadable: the type is missing, or unknown to this version of transformers.
    """
    kind = config.get("model_type")
    if "AutoConfig" in (config.get("auto_map") or {}) or kind in CONFIG_MAPPING_NAMES:
        return
    if not kind:
        message = f"The config.json of {folder} has no model_type, by which transformers knows a model's architecture."
        raise ModelNotLoadable(message, hint='Add it, such as "model_type": "llama".', path=folder, why="no model_type")
    version = transformers.__version__
    message = f"transformers {version} does not know the model type {str(kind)[:40]} of {folder}."
    raise ModelNotLoadable(message, hint=UPDATE, path=folder, why=f"unknown model type {kind}")


def check_code(folder: Path, file: str, trusted: bool) -> None:
    """Refuse code that lies in another repo than the model, which no commit of the model pins.

    Args:
        folder: the model.
        file: ``config.json`` or ``tokenizer_config.json``.
        trusted: whether the model's own code may run.

    Raises:
        ModelNotLoadable: naming the other repo.
    """
    try:
        config = parse((folder / file).read_bytes(), unique=False)
    except (OSError, ValueError):
        return
    used = trusted or (file == "config.json" and config.get("model_type") not in CONFIG_MAPPING_NAMES)
    references = json.dumps(config.get("auto_map") if isinstance(config, dict) else None)
    other = re.search(r'"([^"]+?)--', references)
    if other and used:
        message = f"{folder} takes its code from another repo, {other[1]}, at no certain commit."
        hint = f"Read that code and copy it into the folder, and take '{other[1]}--' out of auto_map in {file}."
        raise ModelNotLoadable(message, hint=hint, path=folder, why=f"its code is in {other[1]}")
