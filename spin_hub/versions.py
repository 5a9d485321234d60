"""The versions that can decide an outcome, which records keep."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from spin_hub.version import __version__

_PACKAGES: Final = (
    "torch", "transformers", "tokenizers", "huggingface_hub", "safetensors", "datasets", "peft", "numpy", "typer",
)  # fmt: skip
DECIDE_TOKENS: Final = ("transformers", "tokenizers")
"""Packages that decide which tokens a text becomes."""


def versions() -> dict[str, str]:
    """Return the versions that can decide an outcome: spin-hub, Python, packages, system."""
    found = {"spin_hub": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {**found, "system": platform.system(), "machine": platform.machine()}
