"""The processor, its threads, the GPUs, and what this PyTorch makes of them."""

import math
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import torch

from spin_hub.errors.base import UsageError
from spin_hub.scoring.speed import GIVEN, Speeds, Unusable, speeds
from spin_hub.units import human_bytes
from spin_hub.workflows.findings import Finding, State, shown, weights_in

PRECISIONS: Final = (torch.float32, torch.bfloat16, torch.float16)

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
_COUNT: Final = re.compile(r"\s*0*[1-9][0-9]{0,5}\s*")

_ALIKE: Final = 1.1
"""Speeds that differ by a smaller factor count as equal."""

_MARGIN: Final = 1.25
"""How many times slower than float32 bfloat16 must be before ``--dtype auto`` leaves it."""


def processor() -> tuple[Finding, ...]:
    """Findings on the processor, its threads, and its speed in each precision."""
    return (
        Finding("processor", shown(processor_name()), note=f"{platform.machine()}."),
        *_cores(),
        *_openmp(),
        *_measured(torch.device("cpu"), ""),
    )


def accelerators() -> tuple[Finding, ...]:
    """Findings on each GPU; one that says why there is none otherwise."""
    found = [finding for number in range(_gpus()) for finding in _gpu(number)]
    if torch.backends.mps.is_available():
        found.append(Finding("mps", "Apple GPU", note="auto runs on it. It shares the machine's memory."))
        found += _measured(torch.device("mps"), "mps ")
    return tuple(found) or (_no_gpu(),)


def processor_name() -> str:
    """The processor's name as the system has it."""
    with suppress(OSError, UnicodeDecodeError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in {"model name", "Model", "cpu model"} and value.strip():
                return value.strip()
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        with suppress(OSError, subprocess.SubprocessError):
            named = subprocess.run(command, capture_output=True, text=True, timeout=2, check=True).stdout.strip()
            return named or platform.machine()
    return platform.processor() or platform.machine() or "unknown"


def usable_cores() -> int:
    """The cores on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def container_cores() -> float | None:
    """The cores that the control group of this process may use; None if it has no limit."""
    with suppress(OSError, ValueError):
        quota, period = _QUOTA.read_text("ascii").split()
        return int(quota) / int(period)
    return None


def _cores() -> Iterator[Finding]:
    there, real, quota = os.cpu_count() or 1, psutil.cpu_count(False), container_cores()
    value = f"{there}" + (f" ({real} physical)" if real and real != there else "")
    usable = min(usable_cores(), math.ceil(quota or math.inf) if quota else there)
    if usable < there:
        yield Finding("cores", value, "note", f"This process may use {usable} of them: the system limits it.")
    else:
        yield Finding("cores", value)
    yield _load(usable)
    yield _threads(usable, real or usable)


def _load(usable: int) -> Finding:
    """The load of the last minute, in which a neighbour on the machine shows."""
    with suppress(OSError):
        load = psutil.getloadavg()[0]
        if load > usable / 2:
            note = "Other programs use the processor now: speeds and times are worse than they could be."
            return Finding("load", f"{load:.1f}", "note", note, {"load": load})
        return Finding("load", f"{load:.1f}", note="Little else runs here now.", figures={"load": load})
    return Finding("load", "unknown")


def _threads(usable: int, real: int) -> Finding:
    threads = torch.get_num_threads()
    if threads > usable:
        note = f"More than the {usable} cores that it may use: threads wait for one another. Lower OMP_NUM_THREADS."
        return Finding("torch threads", str(threads), "problem", note)
    if threads < min(real, usable):
        why = "OMP_NUM_THREADS says so" if os.environ.get("OMP_NUM_THREADS") else "PyTorch decided so"
        return Finding("torch threads", str(threads), "note", f"{why}: scoring leaves the other cores idle.")
    return Finding("torch threads", str(threads), note="Scoring uses all cores.")


def _openmp() -> Iterator[Finding]:
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked and not all(_COUNT.fullmatch(part) for part in asked.split(",")):
        yield Finding("OMP_NUM_THREADS", shown(asked), "problem", "Not a number of threads, so it has no effect.")
    elif asked:
        yield Finding("OMP_NUM_THREADS", shown(asked), note="The threads that each product of matrices uses.")
    policy = os.environ.get("OMP_WAIT_POLICY", "")
    if policy.strip().upper() == "PASSIVE":
        note = "Threads that wait sleep, so other busy processes cost little."
        yield Finding("OMP_WAIT_POLICY", shown(policy), note=note)
    elif policy:
        note = "Threads that wait keep their core busy: another busy process slows scoring down several times."
        yield Finding("OMP_WAIT_POLICY", shown(policy), "note", f"{note} PASSIVE avoids it.")
    else:
        note = "Threads that wait keep their core busy a while: a busy neighbour slows scoring down. PASSIVE avoids it."
        yield Finding("OMP_WAIT_POLICY", "not set", "note", note)


def _measured(device: torch.device, prefix: str) -> Iterator[Finding]:
    """The speeds of a device, and what follows for ``--dtype``."""
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
        note = f"{origin}: forward / backward to the input / gradient of the weight."
        return Finding(prefix + name, value, note=note, figures=figures)
    if isinstance(yardstick, Unusable):
        return Finding(prefix + name, value, note="float32 cannot be used to compare it with.", figures=figures)
    times = yardstick.scoring / speed.scoring
    note = f"{_compared(times)} {_advice(dtype, times > _MARGIN)}"
    slow = times > _MARGIN and dtype is torch.bfloat16
    return Finding(prefix + name, value, "note" if slow else "ok", note, figures)


def _compared(times: float) -> str:
    if times > _ALIKE:
        return f"{_times(times)} times slower than float32."
    return f"{_times(1 / times)} times as fast as float32." if times < 1 / _ALIKE else "As fast as float32."


def _advice(dtype: torch.dtype, slow: bool) -> str:
    if dtype is torch.float16:
        return "auto never chooses it: gradients overflow in it."
    return f"auto runs bfloat16 models in {'float32' if slow else 'bfloat16'} here."


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
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        yield Finding(name, "cannot be used", "problem", shown(f"{why.rstrip('.')}.", 200))
        return
    measured = tuple(_measured(torch.device("cuda", number), f"{name} "))
    value = f"{shown(about.name)}, compute capability {about.major}.{about.minor}"
    if all(finding.state == "problem" or finding.value == "cannot be used" for finding in measured):
        note = "This PyTorch cannot compute on it: install one that is built for it, or use --device cpu."
        yield Finding(name, value, "problem", note)
    elif number:
        yield Finding(name, value, "note", f"auto takes cuda:0. CUDA_VISIBLE_DEVICES={number} makes it use this one.")
    else:
        yield Finding(name, value, note="auto runs on it.")
    yield _gpu_memory(name, free, total)
    yield from measured


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
