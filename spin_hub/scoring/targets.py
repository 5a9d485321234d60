"""The linear weights to score: those of the decoder layers, by part or by pattern."""

import fnmatch
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from spin_hub.core.names import is_attention
from spin_hub.errors import NoTarget, UnsupportedModel
from spin_hub.models.coordinates import Coordinates
from spin_hub.models.layers import decoder_layers

_ROUTERS: Final = frozenset({"router", "gate", "shared_expert_gate", "gate_network"})


@dataclass(frozen=True, eq=False)
class Target:
    """One linear weight: its name, its module, and its orientation.

    Attributes:
        parameter: its name in the checkpoint's files.
        transposed: the weight is (in, out), as in ``Conv1D``, instead of (out, in).
    """

    parameter: str
    module: nn.Module
    transposed: bool

    @property
    def weight(self) -> nn.Parameter:
        """The parameter, shape (out, in), or (in, out) where it is transposed."""
        weight = self.module.weight
        assert isinstance(weight, nn.Parameter)
        return weight


def find_targets(model: PreTrainedModel, target: str, coordinates: Coordinates | None = None) -> tuple[Target, ...]:
    """The linear weights of the decoder layers that a target names, in the model's order.

    Args:
        model: a causal language model.
        target: ``mlp``, ``self_attn``, ``all``, or a glob pattern of parameter names, in the files or in memory.
        coordinates: the names in the checkpoint's files; None if they are those in memory.

    Raises:
        NoTarget: nothing matches.
        UnsupportedModel: no decoder layers, or a matching weight is not that of a plain linear map.
        CoordinatesDiffer: a matching weight is not one tensor of the checkpoint.
    """
    prefix, layers = decoder_layers(model)
    found = []
    for module_name, module, attention in _modules(prefix, layers):
        for name, parameter in module.named_parameters(recurse=False):
            full = f"{module_name}.{name}"
            in_file = coordinates.tensors.get(full, full) if coordinates else full
            if parameter.dim() < 2 or not any(_wanted(target, name, attention) for name in (full, in_file)):
                continue
            if isinstance(module, nn.Linear | Conv1D):
                tensor = coordinates.tensor(full) if coordinates else full
                found.append(Target(tensor, module, isinstance(module, Conv1D)))
            elif not type(module).__module__.startswith("torch.nn."):
                why = f"it belongs to a {type(module).__name__}, not to a plain linear map"
                raise UnsupportedModel(what=f"The parameter {full}", why=why)
    if not found:
        raise NoTarget(target=target, examples=f"'{prefix}.0.*'")
    return tuple(found)


def by_layer(model: PreTrainedModel, targets: Sequence[Target]) -> dict[int, list[Target]]:
    """The targets of every decoder layer that has some, by the layer's number.

    Raises:
        UnsupportedModel: a target outside the decoder layers, or one that has several places in the model.
    """
    uses = Counter(id(weight) for _, weight in model.named_parameters(remove_duplicate=False))
    _, layers = decoder_layers(model)
    numbers = {id(module): number for number, layer in enumerate(layers) for module in layer.modules()}
    found: dict[int, list[Target]] = {}
    for target in targets:
        if uses[id(target.weight)] > 1:
            raise UnsupportedModel(what=target.parameter, why="the model uses it more than once in a pass")
        if id(target.module) not in numbers:
            raise UnsupportedModel(what=target.parameter, why="it belongs to no decoder layer")
        found.setdefault(numbers[id(target.module)], []).append(target)
    return found


def _modules(prefix: str, layers: nn.ModuleList) -> Iterator[tuple[str, nn.Module, bool]]:
    """Every module within the decoder layers, routers left out, and whether it is part of attention."""
    for number, layer in enumerate(layers):
        for name, module in layer.named_modules():
            path = name.split(".")
            if not _ROUTERS & set(path):
                yield f"{prefix}.{number}.{name}".rstrip("."), module, is_attention(name)


def _wanted(target: str, parameter: str, attention: bool) -> bool:
    match target:
        case "all":
            return True
        case "mlp":
            return not attention
        case "self_attn":
            return attention
    return fnmatch.fnmatchcase(parameter, target)
