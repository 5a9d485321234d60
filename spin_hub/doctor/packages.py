"""Versions of Python, the system and the packages, and those that are known to conflict."""

import platform
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final

from spin_hub.doctor.findings import Finding, State, shown
from spin_hub.version import __version__

Version = tuple[int, ...]

_USES: Final = {
    "torch": "Runs the models.",
    "transformers": "Loads models and tokenizers.",
    "huggingface_hub": "Downloads from the Hub and pushes to it.",
    "hf-xet": "Moves large files to and from the Hub.",
    "safetensors": "Reads and writes weights.",
    "tokenizers": "Turns texts into tokens.",
    "accelerate": "Places the layers of large models.",
    "datasets": "Reads calibration data.",
    "numpy": "Computes selections.",
    "psutil": "Finds the free memory.",
    "typer": "Reads the command line.",
    "peft": "Writes adapters (--as peft, --as lora).",
    "lm_eval": "Runs the capability tasks of eval.",
    "vllm": "Serves models for eval.",
    "torchvision": "Is not needed, but transformers imports it.",
    "torchaudio": "Is not needed, but transformers may import it.",
}
_EXTRAS: Final = {"peft": ("peft", "--as peft and --as lora"), "lm_eval": ("eval", "The capability tasks of eval")}


@dataclass(frozen=True)
class Conflict:
    """Versions of a package with which something is known to go wrong.

    Attributes:
        package: its name.
        applies: whether a version is one of them.
        note: what goes wrong, and the way on.
        state: ``problem``, or ``note`` for what concerns one option alone.
    """

    package: str
    applies: Callable[[Version], bool]
    note: str
    state: State = "problem"


CONFLICTS: Final = (
    Conflict(
        "transformers",
        lambda found: found[:2] == (5, 3),
        "5.3 loses the spaces of some byte-level tokenizers: other tokens, so other weights are selected. Update it.",
    ),
    Conflict(
        "peft",
        lambda found: found < (0, 21),
        "Adapters of type SUPERTUNING, which --as peft writes, exist since 0.21: --as peft fails. Update it.",
        "note",
    ),
    Conflict(
        "huggingface_hub",
        lambda found: found < (1,),
        "Before 1.0 it uses another HTTP client, whose errors spin-hub does not expect. Update it.",
    ),
    Conflict(
        "typer",
        lambda found: found < (0, 26),
        "Before 0.26 it raises Click's errors, which spin-hub does not catch. Update it.",
    ),
)
"""The first entry that applies is shown."""


def packages() -> tuple[Finding, ...]:
    """Findings on spin-hub, Python, the system and each package that matters."""
    found = {name: installed for name in _USES if (installed := _installed(name)) is not None}
    missing = [
        Finding(name, "not installed", "note", f'{use} need it: pip install "spin-hub[{extra}]".')
        for name, (extra, use) in _EXTRAS.items()
        if name not in found
    ]
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    return (
        Finding("spin-hub", __version__),
        Finding("python", platform.python_version(), note="spin-hub needs 3.11 or newer."),
        Finding("system", shown(system)),
        *(_package(name, installed) for name, installed in found.items()),
        *missing,
    )


def number(text: str) -> Version:
    """The leading numbers of a version: ``(2, 13, 0)`` of ``2.13.0+cpu``."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()


def _package(name: str, installed: str) -> Finding:
    found = number(installed)
    for conflict in CONFLICTS:
        if conflict.package == name and conflict.applies(found):
            return Finding(name, shown(installed), conflict.state, conflict.note)
    least = _least().get(_plain(name))
    if least and found < number(least):
        return Finding(name, shown(installed), "problem", f"spin-hub needs {least} or newer. Update it.")
    wanted = _pinned_torch(name)
    torch = _installed("torch") or ""
    if wanted and number(torch)[: len(number(wanted))] != number(wanted):
        note = f"It was built for torch {wanted}, and torch is {torch}: transformers may fail when it imports {name}."
        return Finding(name, shown(installed), "problem", f"{note} Install one that fits, or uninstall it.")
    return Finding(name, shown(installed), note=_USES[name])


def _least() -> dict[str, str]:
    """The least versions that spin-hub asks for, by name."""
    try:
        asked = requires("spin-hub") or []
    except PackageNotFoundError:
        return {}
    found = (re.match(r"([\w.-]+)(?:\[[^]]*\])?\s*>=\s*([\d.]+)", line) for line in asked)
    return {_plain(match[1]): match[2] for match in found if match}


def _pinned_torch(name: str) -> str | None:
    """The version of torch that a package was built for, by its own metadata, or None."""
    if name not in {"torchvision", "torchaudio", "vllm"}:
        return None
    found = (re.match(r"torch\s*\(?==\s*([\d.]+)", line) for line in requires(name) or [])
    return next((match[1] for match in found if match), None)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
