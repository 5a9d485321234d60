"""The memory plan of scoring, made before anything is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from spin_hub.data.examples import Example
from spin_hub.errors import MemoryTooSmall
from spin_hub.models.batches import usual_tokens
from spin_hub.models.device import Placement, free_memory, is_mapped, is_widened
from spin_hub.models.layers import decoder_layers
from spin_hub.recipe import EngineName
from spin_hub.scoring.targets import Target
from spin_hub.units import human_bytes

LIBRARIES: Final = 600 << 20
"""Bytes that the imported libraries take before any model is loaded (measured with the pinned versions)."""

Weights = Literal["mapped", "widened", "loaded", "shards"]


@dataclass(frozen=True)
class MemoryBudget:
    """Memory in which a store may keep tensors; None means no limit.

    Attributes:
        device: bytes on a tensor's own device, where that is not the host.
        host: bytes in host memory.
        folder: folder of the file that takes the rest; None means the system's folder for temporary files.
    """

    device: int | None = 0
    host: int | None = None
    folder: Path | None = None


# Everything is kept in host memory.
EVERYTHING_IN_MEMORY = MemoryBudget()


@dataclass(frozen=True)
class MemoryPlan:
    """A plan of what is held in memory while a model is scored.

    Attributes:
        engine: ``layerwise`` or ``whole``.
        weights: ``mapped`` from the shards as they are (the system drops and reads them again as it likes, so they
            count as nothing), mapped and ``widened`` to float32 a layer at a time, ``loaded`` into memory, or read
            from the ``shards`` a layer at a time.
        budget: where the layers' inputs may be kept.
        memory: part -> bytes in the memory that is short: the device's, or the host's where that is the device.
        kept: bytes of the layers' inputs, wherever they are.
        limit: of that memory; None if there is none.
    """

    engine: Literal["layerwise", "whole"]
    weights: Weights
    budget: MemoryBudget
    memory: Mapping[str, int]
    kept: int
    limit: int | None

    @property
    def spilled(self) -> int:
        """Bytes of the layers' inputs that go to a file."""
        return max(0, self.kept - (self.budget.host if self.budget.host is not None else self.kept))


@dataclass(frozen=True)
class MemoryRequest:
    """The model and the examples to plan memory for.

    Attributes:
        skeleton: the model's modules, with or without memory.
        targets: of it.
        examples: of all sets.
        where: the model will run.
        stored: the precision of the checkpoint's weights.
    """

    skeleton: PreTrainedModel
    targets: Sequence[Target]
    examples: Sequence[Example]
    where: Placement
    stored: torch.dtype


def hold(demand: MemoryRequest, engine: EngineName, limit: int | None, folder: Path | None) -> MemoryPlan:
    """Plan memory within a limit: the whole model if it fits, else its weights one layer at a time.

    Args:
        demand: what is to be held.
        engine: as asked for; ``auto`` means layerwise here.
        limit: bytes of this process (on a GPU: of its memory); None takes what is free.
        folder: where a file of kept inputs may be made.

    Raises:
        MemoryTooSmall: it does not fit.
    """
    on_host = demand.where.device.type == "cpu"
    available = limit if limit is not None else free_memory(demand.where.device)
    if engine == "whole":
        weights: Weights = "mapped" if is_mapped(demand.where, demand.stored) else "loaded"
        memory = {**_base(demand, weights), "sums": _sums(demand.targets, demand), **_activations(demand, whole=True)}
        if limit is not None and sum(memory.values()) > limit:
            raise _too_small("with the whole engine", limit, memory, "leave --engine whole out")
        return MemoryPlan("whole", weights, MemoryBudget(), memory, 0, limit)
    ways: tuple[Weights, ...] = ("loaded", "shards")
    if is_mapped(demand.where, demand.stored):
        ways = ("mapped",)
    elif is_widened(demand.where, demand.stored):
        ways = ("widened",)
    for weights in ways:
        memory = {**_base(demand, weights), "sums": _layer_sums(demand), **_activations(demand, whole=False)}
        needed = sum(memory.values())
        if available is None or needed <= available:
            break
    if available is not None and needed > available:
        raise _too_small("one layer at a time", available, memory, "cut the longest examples with --max-length")
    kept = _kept(demand)
    left = None if available is None else available - needed
    budget = MemoryBudget(device=0, host=left, folder=folder) if on_host else MemoryBudget(device=left, folder=folder)
    inside = kept if left is None else min(kept, left)
    return MemoryPlan("layerwise", weights, budget, {**memory, "kept inputs": inside}, kept, limit)


def _too_small(how: str, limit: int, memory: Mapping[str, int], instead: str) -> MemoryTooSmall:
    needed = sum(memory.values())
    return MemoryTooSmall(
        how=how,
        limit=human_bytes(limit),
        needed=human_bytes(needed),
        parts=", ".join(f"{name} {human_bytes(size)}" for name, size in memory.items() if size),
        enough=f"{-(-needed // 2**20)}MiB",
        instead=instead,
    )


def _base(demand: MemoryRequest, weights: Weights) -> dict[str, int]:
    size = demand.where.dtype.itemsize
    total = _numel(demand.skeleton)
    layers = [_numel(layer) for layer in decoder_layers(demand.skeleton)[1]]
    if weights == "shards":  # one layer, the next one, and what is not a layer
        total = total - sum(layers) + 2 * max(layers)
    if weights == "widened":  # one layer and the next one, or the head
        embedding = demand.skeleton.get_output_embeddings()
        total = max(2 * max(layers), _numel(embedding) if embedding is not None else 0)
    libraries = LIBRARIES if demand.where.device.type == "cpu" else 0
    return {"libraries": libraries, "weights": 0 if weights == "mapped" else total * size}


def _sums(targets: Sequence[Target], demand: MemoryRequest) -> int:
    return sum(target.weight.numel() for target in targets) * max(4, demand.where.dtype.itemsize)


def _layer_sums(demand: MemoryRequest) -> int:
    """The sums of the layer that has most of them."""
    wanted = {id(target.module): target for target in demand.targets}
    _, layers = decoder_layers(demand.skeleton)
    return max(
        _sums([wanted[id(module)] for module in layer.modules() if id(module) in wanted], demand) for layer in layers
    )


def _activations(demand: MemoryRequest, whole: bool) -> dict[str, int]:
    """Bytes that a batch's pass keeps: the inputs and outputs of linear maps of all layers or of one, and the logits.

    Values count with four bytes in half precision too, where float32 copies come and go beside them
    (benchmarks/RESULTS.md has what was measured).
    """
    batch = max(usual_tokens(demand.where.device), *map(len, demand.examples))
    _, layers = decoder_layers(demand.skeleton)
    features = [_features(layer) for layer in layers]
    vocabulary = int(demand.skeleton.config.get_text_config().vocab_size)
    values = sum(features) if whole else 2 * max(features)
    return {"activations": batch * max(4, demand.where.dtype.itemsize) * (values + 3 * vocabulary)}


def _kept(demand: MemoryRequest) -> int:
    """The inputs of all layers for all tokens, and the gradient at the last one."""
    depth = len(decoder_layers(demand.skeleton)[1])
    hidden = int(demand.skeleton.config.get_text_config().hidden_size)
    tokens = sum(map(len, demand.examples))
    return tokens * hidden * demand.where.dtype.itemsize * (depth + 1)


def _numel(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _features(module: nn.Module) -> int:
    return sum(sum(weight.shape[-2:]) for weight in module.parameters() if weight.dim() >= 2)
