"""The versions that can decide an outcome, which records keep."""

import platform
from importlib.metadata import PackageNotFoundError, version

from spin_hub.version import __version__

_PACKAGES = ("torch", "transformers", "huggingface_hub", "safetensors", "datasets", "peft", "numpy", "typer")


def versions() -> dict[str, str]:
    """The versions that can decide an outcome: spin-hub, Python, packages, system."""
    found = {"spin_hub": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {**found, "system": platform.system(), "machine": platform.machine()}
