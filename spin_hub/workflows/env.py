"""env: what this machine and its settings mean for spin-hub; and the versions that records keep."""

import platform
from importlib.metadata import PackageNotFoundError, version

from spin_hub.version import __version__
from spin_hub.workflows.findings import Report

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


def env() -> Report:
    """Findings on software, processor, GPUs, memory, folders, the Hub and variables; asks the Hub for 5 s at most."""
    from spin_hub.workflows.env_devices import accelerators
    from spin_hub.workflows.env_hub import hub, variables
    from spin_hub.workflows.env_packages import packages
    from spin_hub.workflows.env_places import memory, places
    from spin_hub.workflows.env_processor import processor

    return Report(
        {
            "software": packages(),
            "processor": processor(),
            "gpu": accelerators(),
            "memory": memory(),
            "disk": places(),
            "hub": hub(),
            "variables": variables(),
        }
    )
