"""What would shorten an edit that takes long, each way with the time that it would leave."""

from typing import Final

import torch

from spin_hub.core.names import ALL
from spin_hub.models.device import name_of
from spin_hub.models.speed import Speed, speeds
from spin_hub.scoring.estimate import Cost, scoring_seconds
from spin_hub.scoring.memory import MemoryRequest
from spin_hub.units import about
from spin_hub.workflows.edit import EditRequest

LONG: Final = 3600.0
"""Seconds of an edit that is worth advice."""

_WORTH: Final = 0.75
"""The share of the time that a precision must save to be named."""

_FEW: Final = 32
"""Examples of a set that the advice names, a quarter of the default."""


def shorter(request: EditRequest, demand: MemoryRequest, engine: str, cost: Cost, once: float) -> tuple[str, ...]:
    """Options that would shorten an edit of more than an hour; none for a shorter one.

    Args:
        request: the edit.
        demand: what is scored.
        engine: by which engine.
        cost: what the edit takes.
        once: the share of the measurements that is left without a search for p and q.
    """
    total = cost.seconds + cost.reading
    if total <= LONG:
        return ()
    found = []
    device, own = demand.where.device, demand.where.dtype
    for dtype, speed in speeds(device, {torch.float32, torch.bfloat16} - {own}).items():
        share = scoring_seconds(demand, engine, dtype) / cost.seconds if isinstance(speed, Speed) else 1.0
        if share < _WORTH:
            found.append(f"--dtype {name_of(dtype)}: about {about(share * total)}")
    used = len(demand.examples) // max(1, len(request.scoring.sets))
    if used > _FEW:
        found.append(f"--samples {_FEW}: about {about(cost.seconds * _FEW / used + cost.reading)}")
    if request.selection.part.layers == ALL:
        found.append("--layers FIRST-LAST: the fewer layers and the higher, the faster")
    if request.search:
        found.append(f"--p and --q, so that nothing is tried out: about {about(cost.seconds + cost.reading * once)}")
    if device.type == "cpu":
        found.append("--device cuda, on a machine with a GPU")
    return tuple(found)
