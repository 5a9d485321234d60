"""plan: what an edit would read, compute and write, before any of it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import torch

from spin_hub.artifacts.base_model import open_headers
from spin_hub.artifacts.publish import most_to_upload, prepare
from spin_hub.artifacts.write import default_name, needed_bytes
from spin_hub.core.names import ALL
from spin_hub.core.ranking import Shape
from spin_hub.hub.token import account
from spin_hub.metrics.likelihood import STATES, texts_for
from spin_hub.models.device import name_of, place, stored_dtype
from spin_hub.models.load import check_causal, load_skeleton
from spin_hub.models.speed import Speed, speeds
from spin_hub.progress import SILENT, Reporter
from spin_hub.recipe import SelectionRecipe
from spin_hub.scoring.estimate import Cost, Reading, estimate, scoring_seconds
from spin_hub.scoring.inputs import calibrate, fitted, targets_within
from spin_hub.scoring.memory import MemoryRequest, hold
from spin_hub.scoring.scores import score_named
from spin_hub.search.search import default_grid
from spin_hub.search.study import states_of
from spin_hub.units import about, human_bytes
from spin_hub.workflows.edit import EditRequest
from spin_hub.workflows.sweep import keep_for

_PLACES: Final = {
    "mapped": "mapped from the shards",
    "widened": "mapped from the shards, in float32 while they are used",
    "loaded": "in memory",
    "shards": "read layer by layer",
}
LONG: Final = 3600.0
"""Seconds of an edit that is worth advice."""

_WORTH: Final = 0.75
"""The share of the time that a precision must save to be named."""

_FEW: Final = 32
"""Examples of a set that the advice names, a quarter of the default."""


@dataclass(frozen=True)
class PlannedMatrix:
    """Matrices of one shape: how many there are, and how many weights each set's ratio asks for in one."""

    shape: Shape
    matrices: int
    counts: Mapping[str, int]


@dataclass(frozen=True)
class PlannedSet:
    """One calibration set: where it comes from, its examples and tokens, and the rows that are left out, by reason."""

    name: str
    source: str
    licence: str
    examples: int
    tokens: int
    counted: int
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """Everything that an edit would do; sizes in bytes, times in seconds."""

    model: str
    commit: str | None
    device: str
    dtype: str
    precision: str
    matrices: tuple[PlannedMatrix, ...]
    sets: tuple[PlannedSet, ...]
    tried: int
    engine: str
    weights: str
    memory: Mapping[str, int]
    kept: int
    spilled: int
    operations: int
    seconds: float
    reading: float
    output: str
    disk: int
    repo_id: str | None
    visibility: str | None
    upload: int | None
    advice: tuple[str, ...] = ()

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Labels and texts for the terminal."""
        memory = ", ".join(f"{name} {human_bytes(size)}" for name, size in self.memory.items())
        upload = human_bytes(self.upload or 0)
        return [
            ("model", self.model + (f"@{self.commit[:12]}" if self.commit else "")),
            ("runs", f"{self.dtype} on {self.device}: {self.precision}"),
            ("engine", f"{self.engine}, weights {self.weights}"),
            ("memory", f"{human_bytes(sum(self.memory.values()))}: {memory}"),
            *([("spills", f"{human_bytes(self.spilled)} of layers' inputs go to a file")] if self.spilled else []),
            ("scoring", f"about {about(self.seconds)} for {self.operations:.2g} operations"),
            *([("search", f"{self.tried} pairs of p and q are tried out; above, the largest")] if self.tried else []),
            ("measuring", f"about {about(self.reading)}" if self.reading else "nothing is measured (--no-eval)"),
            ("writes", f"{self.output}, at most {human_bytes(self.disk)}"),
            *((("shorter" if number == 0 else ""), text) for number, text in enumerate(self.advice)),
            *([("uploads", f"to {self.repo_id} ({self.visibility}), at most {upload}")] if self.upload else []),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        entry = asdict(self)
        for planned in entry["sets"]:
            if not planned["left_out"]:
                del planned["left_out"]
        return {**entry, "memory_total": sum(self.memory.values())}


def plan(request: EditRequest, reporter: Reporter = SILENT) -> Plan:
    """Look at model, tokenizer, data and machine, and return what an edit would take; nothing is written.

    Raises:
        SpinHubError: anything that the edit itself would refuse at this point.
    """
    who = account() if request.push else None
    base = open_headers(request.model, reporter)
    check_causal(base.source.folder, base.index.config)
    scoring, selection = request.scoring, request.selection
    score_named(scoring.score)
    where = place(scoring.device, scoring.dtype, base.index)
    skeleton = load_skeleton(base.index, scoring.trust_remote_code)
    targets = targets_within(skeleton, base.index, scoring.target, selection.part, reporter)
    publication = None
    if who and request.push:
        publication = prepare(who, request.push, request.kind, base.subject, reporter)
    found = calibrate(base, scoring, reporter)
    calibrations = fitted(found.sets, skeleton, reporter)
    examples = [example for entry in calibrations.values() for example in entry.examples]
    demand = MemoryRequest(skeleton, targets, examples, where, stored_dtype(base.index))
    holding = hold(demand, scoring.engine, scoring.max_memory, None)
    inside: list[Shape] = [tuple(target.weight.shape) for target in targets]
    tried = default_grid(keep_for(inside)) if request.search else ()
    states = 1 + STATES + (states_of(len(tried)) if tried else 0)
    texts = Reading(texts_for(base, found.recipe, skeleton).all, states) if request.limits else Reading()
    cost = estimate(demand, holding, texts)
    asked = replace(selection, p=tried[-1][0], q=tried[-1][1]) if tried else selection
    request.export.check(request.options, base, [target.parameter for target in targets], reporter)
    own = request.export.size(inside, asked)
    records = [entry.record for entry in calibrations.values()]
    return Plan(
        model=base.source.repo_id or base.source.name,
        commit=base.source.commit,
        device=where.device.type,
        dtype=where.precision,
        precision=where.why + (f" ({where.figures})" if where.figures else ""),
        matrices=_matrices(inside, asked),
        sets=tuple(PlannedSet(r.name, r.source, r.licence, r.used, r.tokens, r.counted, r.left_out) for r in records),
        tried=len(tried),
        engine=holding.engine,
        weights=_PLACES[holding.weights],
        memory=cost.memory,
        kept=holding.kept,
        spilled=holding.spilled,
        operations=cost.operations,
        seconds=cost.seconds,
        reading=cost.reading,
        output=str(request.destination.path or default_name(base.source.name, base.card, request.kind)),
        disk=needed_bytes(base, request.kind) + own,
        repo_id=publication.repo_id if publication else None,
        visibility=publication.visibility if publication else None,
        upload=most_to_upload(publication, base, request.kind) + own if publication else None,
        advice=shorter(request, demand, holding.engine, cost, (1 + STATES) / states),
    )


def _matrices(shapes: list[Shape], selection: SelectionRecipe) -> tuple[PlannedMatrix, ...]:
    count = selection.entry.count
    return tuple(
        PlannedMatrix(shape, number, {name: count(ratio, shape) for name, ratio in selection.all_ratios.items()})
        for shape, number in sorted(Counter(shapes).items())
    )


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
