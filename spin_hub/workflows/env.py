"""env: versions, devices and the state of the token; never the token."""

import os
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


def env() -> dict[str, str]:
    """Versions, processor cores, accelerators, and whether a Hub token is there."""
    import torch

    from spin_hub.hub.resolve import token_state

    devices = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("Apple GPU (mps)")
    return {
        **versions(),
        "cores": str(os.cpu_count()),
        "accelerators": ", ".join(devices) or "none",
        "hub_token": token_state(),
        "hub_offline": "yes" if os.environ.get("HF_HUB_OFFLINE", "") in {"1", "true", "True", "YES"} else "no",
    }
