"""The processor, its cores and threads, and the settings of OpenMP that decide how they wait."""

import math
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import torch

from spin_hub.doctor.devices import measured
from spin_hub.doctor.findings import Finding, shown

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
_COUNT: Final = re.compile(r"\s*0*[1-9][0-9]{0,5}\s*")


def processor() -> tuple[Finding, ...]:
    """Findings on the processor, its threads, and its speed in each precision."""
    return (
        Finding("processor", shown(processor_name()), note=f"{platform.machine()}."),
        *_cores(),
        *_openmp(),
        *measured(torch.device("cpu"), ""),
    )


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
    process = psutil.Process()
    # Linux and Windows can tie a process to cores; psutil has no such method elsewhere.
    if hasattr(process, "cpu_affinity"):
        with suppress(OSError, psutil.Error):
            return len(process.cpu_affinity()) or 1
    return os.cpu_count() or 1


def container_cores() -> float | None:
    """The cores that the control group of this process may use; None if it has no limit."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = _QUOTA.read_text("ascii").split()
        return int(quota) / int(period)
    return None


def _cores() -> Iterator[Finding]:
    there, real, quota = os.cpu_count() or 1, psutil.cpu_count(False), container_cores()
    value = f"{there}" + (f" ({real} physical)" if real and real != there else "")
    usable = min(usable_cores(), math.ceil(quota or there))
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


_SPINS: Final = 1000
"""The value that the command line sets: how often a thread of GNU's OpenMP looks before it sleeps."""


def _openmp() -> Iterator[Finding]:
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked and not all(_COUNT.fullmatch(part) for part in asked.split(",")):
        yield Finding("OMP_NUM_THREADS", shown(asked), "problem", "Not a number of threads, so it has no effect.")
    elif asked:
        yield Finding("OMP_NUM_THREADS", shown(asked), note="The threads that each product of matrices uses.")
    policy, spins = (os.environ.get(name, "").strip() for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"))
    if policy.upper() == "PASSIVE":
        note = "Threads that wait sleep at once: a busy neighbour costs little, but alone scoring is slower."
        yield Finding("OMP_WAIT_POLICY", shown(policy), note=note)
    elif policy:
        note = "Threads that wait keep their core busy: another busy process slows scoring down several times."
        yield Finding("OMP_WAIT_POLICY", shown(policy), "note", f"{note} Unset it.")
    elif spins.isdecimal() and spins.isascii() and int(spins[:9]) <= _SPINS:
        yield Finding(
            "GOMP_SPINCOUNT", shown(spins), note="Threads that wait sleep soon: a busy neighbour costs little."
        )
    else:
        note = f"Threads that wait keep their core busy: a busy neighbour slows scoring down. {_SPINS} avoids it."
        yield Finding("GOMP_SPINCOUNT", shown(spins) if spins else "not set", "note", note)
