"""Measured speeds of devices in each precision, and the GPUs that this PyTorch can use."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import torch

from spin_hub.doctor.findings import Finding, State, shown, weights_in
from spin_hub.errors import UsageError, first_line
from spin_hub.models.device import MARGIN
from spin_hub.models.speed import GIVEN, Speeds, Unusable, speeds
from spin_hub.units import human_bytes

PRECISIONS: Final = (torch.float32, torch.bfloat16, torch.float16)

_ALIKE: Final = 1.1
"""Speeds that differ by a smaller factor count as equal."""


def accelerators() -> tuple[Finding, ...]:
    """Findings on each GPU; one that says why there is none otherwise."""
    found = [finding for number in range(_gpus()) for finding in _gpu(number)]
    if torch.backends.mps.is_available():
        found.append(Finding("mps", "Apple GPU", note="--device auto runs on it. It shares the machine's memory."))
        found += measured(torch.device("mps"), "mps ")
    return tuple(found) or (_no_gpu(),)


def measured(device: torch.device, prefix: str) -> Iterator[Finding]:
    """Findings on a device's speed in each precision, and what follows for ``--dtype``.

    Args:
        device: the device.
        prefix: goes before the names of the findings.
    """
    try:
        found = speeds(device, PRECISIONS)
    except UsageError as error:
        yield Finding(f"{prefix}speeds", "unknown", "problem", shown(f"{error.message} Correct or unset {GIVEN}.", 300))
        return
    for dtype in PRECISIONS:
        yield _speed(dtype, found, prefix)


def _speed(dtype: torch.dtype, found: Speeds, prefix: str) -> Finding:
    name, speed, yardstick = str(dtype).removeprefix("torch."), found[dtype], found[torch.float32]
    if isinstance(speed, Unusable):
        state: State = "problem" if dtype is torch.float32 else "note"
        return Finding(prefix + name, "cannot be used", state, shown(f"{speed.why.rstrip('.')}.", 200))
    value = " / ".join(_gflops(rate) for rate in (speed.forward, speed.backward, speed.gradient)) + " GFLOP/s"
    figures = {"forward": speed.forward / 1e9, "backward": speed.backward / 1e9, "gradient": speed.gradient / 1e9}
    if dtype is torch.float32:
        origin = f"Taken from {GIVEN}" if os.environ.get(GIVEN) else "Measured now"
        note = f"{origin}: forward pass / gradient at the input / gradient at the weight."
        return Finding(prefix + name, value, note=note, figures=figures)
    if isinstance(yardstick, Unusable):
        return Finding(prefix + name, value, note="float32 cannot be used to compare it with.", figures=figures)
    times = yardstick.scoring / speed.scoring
    note = f"{_compared(times)} {_advice(dtype, times > MARGIN)}"
    slow = times > MARGIN and dtype is torch.bfloat16
    return Finding(prefix + name, value, "note" if slow else "ok", note, figures)


def _compared(times: float) -> str:
    if times > _ALIKE:
        return f"{_times(times)} times slower than float32."
    return f"{_times(1 / times)} times as fast as float32." if times < 1 / _ALIKE else "As fast as float32."


def _advice(dtype: torch.dtype, slow: bool) -> str:
    if dtype is torch.float16:
        return "--dtype auto never chooses it: gradients overflow in it."
    return f"--dtype auto runs bfloat16 models in {'float32' if slow else 'bfloat16'} here."


def _times(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _gflops(rate: float) -> str:
    """Three significant digits without an exponent."""
    value = rate / 1e9
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _gpu(number: int) -> Iterator[Finding]:
    name = f"cuda:{number}"
    try:
        about = torch.cuda.get_device_properties(number)
        free, total = torch.cuda.mem_get_info(number)
    except (RuntimeError, AssertionError) as error:
        why = first_line(error)
        yield Finding(name, "cannot be used", "problem", shown(f"{why.rstrip('.')}.", 200))
        return
    rates = tuple(measured(torch.device("cuda", number), f"{name} "))
    value = f"{shown(about.name)}, compute capability {about.major}.{about.minor}"
    if all(finding.value == "cannot be used" for finding in rates):
        note = "This PyTorch cannot compute on it: install one that is built for it, or use --device cpu."
        yield Finding(name, value, "problem", note)
    elif number:
        yield Finding(
            name, value, "note", f"--device auto takes cuda:0. CUDA_VISIBLE_DEVICES={number} makes it use this one."
        )
    else:
        yield Finding(name, value, note="--device auto runs on it.")
    yield _gpu_memory(name, free, total)
    yield from rates


def _gpu_memory(name: str, free: int, total: int) -> Finding:
    value = f"{human_bytes(free)} free of {human_bytes(total)}"
    note = (
        f"Models of up to about {weights_in(free * 0.75)} weights in bfloat16 fit whole; larger ones go layer by layer."
    )
    if free < total / 2:
        return Finding(f"{name} memory", value, "note", f"Other processes use much of it. {note}")
    return Finding(f"{name} memory", value, note=note, figures={"free": free, "total": total})


def _no_gpu() -> Finding:
    driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    built = torch.version.cuda is not None or getattr(torch.version, "hip", None) is not None
    if driver and not built:
        note = "There is an NVIDIA driver, but this PyTorch is built for the CPU alone. Install one built for CUDA."
        return Finding("gpu", "not usable", "problem", note)
    if built and hidden is not None and hidden.strip() in {"", "-1"}:
        return Finding("gpu", "hidden", "note", "CUDA_VISIBLE_DEVICES hides all GPUs; unset it to use them.")
    if driver:
        note = "There is an NVIDIA driver, but PyTorch finds no GPU: the driver may be too old for this PyTorch."
        return Finding("gpu", "not usable", "problem", note)
    return Finding("gpu", "none", note="Models run on the processor.")
