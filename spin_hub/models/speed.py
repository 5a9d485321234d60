"""Speeds of matrix products on this machine, measured in some milliseconds and remembered for the process.

Half precision is twice as fast as float32 on a processor with units for it and a hundred times slower on one without,
and no flag of the processor says which PyTorch will make of it. So the three products of a linear map
``y = x W^T`` are timed in each precision that comes into question.
"""

import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from threading import Lock
from typing import Final

import torch
from torch import Tensor

from spin_hub.errors import UsageError, first_line

GIVEN: Final = "SPIN_HUB_SPEEDS"
"""Environment variable with speeds that are taken instead of measured ones; see :func:`parse_speeds`."""

Sizes = tuple[int, int, int]

# Tokens, inputs and outputs of the products. The second size is timed where the first took less than _BRIEF seconds:
# products that small say little of a fast device, and larger ones would take a second each on a slow one.
_SIZES: Final[Mapping[str, tuple[Sizes, Sizes]]] = {
    "cpu": ((64, 256, 512), (256, 576, 1536)),
    "mps": ((64, 256, 512), (1024, 1024, 4096)),
    "cuda": ((64, 256, 512), (4096, 4096, 4096)),
}
_BRIEF: Final = 4e-3
_SHARE: Final = 15e-3
_ROUNDS: Final = 8


@dataclass(frozen=True)
class Speed:
    """Floating-point operations a second in the products of a linear map ``y = x W^T`` in one precision.

    Attributes:
        forward: of ``x W^T``.
        backward: of ``delta W``, the gradient at the input.
        gradient: of ``delta^T x``, the gradient at the weight.
    """

    forward: float
    backward: float
    gradient: float

    def seconds(self, forward: float = 0, backward: float = 0, gradient: float = 0) -> float:
        """The seconds that some operations of each kind take."""
        return forward / self.forward + backward / self.backward + gradient / self.gradient

    @property
    def scoring(self) -> float:
        """Operations a second of layerwise scoring: each layer twice forwards, once backwards, one gradient."""
        return 4 / self.seconds(2, 1, 1)

    @property
    def gflops(self) -> str:
        """The three speeds for people, in GFLOP/s."""
        return " / ".join(f"{getattr(self, field.name) / 1e9:.3g}" for field in fields(self))


@dataclass(frozen=True)
class Unusable:
    """A precision in which a device computes nothing, and the first line of its reason."""

    why: str


Speeds = Mapping[torch.dtype, Speed | Unusable]

_lock = Lock()

# By device, threads and given figures.
_known: dict[tuple[torch.device, int, str], dict[torch.dtype, Speed | Unusable]] = {}


def speeds(device: torch.device, dtypes: Iterable[torch.dtype]) -> Speeds:
    """The speed of a device in each precision, measured once a process.

    Precisions are timed in turns and by their best round, so that a neighbour on the machine slows all of them alike.

    Args:
        device: where the products are made.
        dtypes: the precisions in question.
    """
    wanted = set(dtypes)
    given = os.environ.get(GIVEN, "")
    # Two threads that measure at once would measure each other.
    with _lock:
        known = _known.setdefault((device, torch.get_num_threads(), given), {})
        missing = sorted(wanted - known.keys(), key=str)
        if given:
            stated = parse_speeds(given)
            known |= {dtype: stated.get(dtype, Unusable(f"{GIVEN} does not name it")) for dtype in missing}
        elif missing:
            known |= probe(device, missing)
        return {dtype: known[dtype] for dtype in wanted}


def parse_speeds(text: str) -> Speeds:
    """Speeds as ``float32:141,bfloat16:1.2/1.3/22``: GFLOP/s of all products, or of forward/backward/gradient.

    Raises:
        UsageError: the text has another form.
    """
    found: dict[torch.dtype, Speed | Unusable] = {}
    for entry in text.split(","):
        name, _, figures = entry.strip().partition(":")
        dtype = getattr(torch, name, None)
        with suppress(ValueError):
            rates = [float(figure) * 1e9 for figure in figures.split("/")]
            if isinstance(dtype, torch.dtype) and len(rates) in (1, 3) and all(0 < rate < math.inf for rate in rates):
                found[dtype] = Speed(*(rates * 3)[:3])
                continue
        raise UsageError(message=f"{GIVEN} has entries such as float32:141 or bfloat16:1.2/1.3/22, not {entry!r}.")
    return found


def probe(device: torch.device, dtypes: Iterable[torch.dtype]) -> Speeds:
    """Times the products of a linear map on a device.

    Returns:
        A speed for each precision, or why the device cannot compute in it.
    """
    timers: dict[torch.dtype, list[_Timer] | Unusable] = {}
    threads = torch.get_num_threads()
    with _one_thread():
        for dtype in dtypes:
            try:
                timers[dtype] = [_Timer(device, dtype, which) for which in range(3)]
            except (RuntimeError, TypeError, NotImplementedError) as error:
                timers[dtype] = Unusable(first_line(error, 200))
        running = [timer for known in timers.values() if not isinstance(known, Unusable) for timer in known]
        for _ in range(_ROUNDS):
            for timer in running:
                timer.run()
    scale = threads if device.type == "cpu" else 1
    return {
        dtype: known if isinstance(known, Unusable) else Speed(*(scale * timer.rate for timer in known))
        for dtype, known in timers.items()
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread within the block: with more, a busy neighbour turns a product of 0.1 ms into one of 16 ms,
    because the threads wait for one another, and all precisions look alike."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Timer:
    """The best time of one product, first at a small size, at a large one where that is over soon.

    Args:
        which: the forward product, the gradient at the input, or that at the weight.

    Raises:
        RuntimeError, TypeError, NotImplementedError: the device does not compute in this precision.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, which: int) -> None:
        self._device, self._dtype, self._which = device, dtype, which
        small, self._large = _SIZES.get(device.type, _SIZES["cpu"])
        self._resize(small)

    def run(self) -> None:
        """Times the product once more, unless it has had its share of time."""
        if self._spent > _SHARE:
            return
        if self._best < _BRIEF and self._sizes != self._large:
            self._resize(self._large)
        self._time()

    @property
    def rate(self) -> float:
        """Operations a second; the smallest positive number where the clock never moved on."""
        return max(2 * math.prod(self._sizes) / self._best, sys.float_info.min)

    def _resize(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._left, self._right = _operands(self._device, self._dtype, sizes, self._which)
        self._spent = 0.0
        # The first product of a shape is planned and compiled.
        self._time()
        self._spent, self._best = 0.0, math.inf
        self._time()

    def _time(self) -> None:
        started = time.perf_counter()
        # Reading one value waits for the device.
        (self._left @ self._right)[0, 0].item()
        passed = time.perf_counter() - started
        if passed > 0:
            self._spent += passed
            self._best = min(self._best, passed)

    _best: float = math.inf


def _operands(device: torch.device, dtype: torch.dtype, sizes: Sizes, which: int) -> tuple[Tensor, Tensor]:
    """The factors of the forward product, the gradient at the input, or that at the weight, with real strides."""
    tokens, inputs, outputs = sizes
    given = torch.ones(tokens, inputs, device=device, dtype=dtype)
    weight = torch.ones(outputs, inputs, device=device, dtype=dtype)
    delta = torch.ones(tokens, outputs, device=device, dtype=dtype)
    return ((given, weight.t()), (delta, weight), (delta.t(), given))[which]
