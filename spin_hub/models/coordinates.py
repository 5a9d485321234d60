"""Parameters in memory and tensors of the checkpoint: their names there, what is missing or left over, equal bits.

transformers loads ``h.0.mlp.c_fc.weight`` as ``transformer.h.0.mlp.c_fc.weight``, and renames, joins and splits tensors
of some architectures. Its own rules are used here, so a name in a file means the parameter that it is loaded into.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, rename_source_key

from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.core.dtypes import EDITABLE
from spin_hub.errors import CoordinatesDiffer, ModelNotLoadable, NotEditable

# Tables that models made of their config and once kept in their files: no weights, and transformers makes them anew.
_TABLES: Final = (
    r"(^|\.)(attn|attention)\.(attention\.)?(bias|masked_bias)$",
    r"rotary_emb\.inv_freq$",
    r"position_ids$",
)

# Parts of names that say what a tensor which the model does not take would do, and the way on.
_MEANINGS: Final = (
    (re.compile(r"(^|[._])lora_"), "Merge the adapter into the weights first (merge_and_unload of PEFT)."),
    (
        re.compile(r"(_scale_inv|_scale|scales|zeros|absmax|quant_map|g_idx|qweight|quant_state\S*)$"),
        "They scale or pack its weights, and config.json does not name the quantisation: score the unquantised model.",
    ),
    (re.compile(r"\.bias$"), "config.json leaves out biases that the file has: set mlp_bias or attention_bias there."),
)
_OTHER_MEANING: Final = "config.json describes another model, such as one with fewer layers: use the right one."


@dataclass(frozen=True, eq=False)
class Coordinates:
    """The tensors of a checkpoint beside a model's parameters.

    Attributes:
        tensors: parameter or buffer -> the tensor that holds its elements in order.
        aside: tensors of parts that the model does not have, such as a value head, which it is loaded without.
    """

    tensors: Mapping[str, str]
    aside: tuple[str, ...] = ()

    def tensor(self, parameter: str) -> str:
        """Return the tensor of a parameter.

        Raises:
            CoordinatesDiffer: transformers makes the parameter of several tensors, or of a part of one.
        """
        if parameter not in self.tensors:
            raise CoordinatesDiffer(parameter=parameter, why="transformers joins, splits or turns tensors to make it")
        return self.tensors[parameter]

    @property
    def note(self) -> str | None:
        """A sentence on the tensors that are not the model's, or None if there are none."""
        if not self.aside:
            return None
        return f"The model is loaded without {_listed(self.aside)}, which it has no part for; a copy keeps them."


def coordinates(model: Any, index: CheckpointIndex) -> Coordinates:
    """Match every tensor of a checkpoint with a model's parameters, by the headers alone.

    Args:
        model: loaded, or its modules without memory.
        index: its checkpoint.

    Raises:
        ModelNotLoadable: a parameter that no tensor fills or whose tensor has another shape, or a tensor that the model
            does not take although it would change what the model computes.
    """
    rename, targets_of = _renaming(model)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    state, buffers = model.state_dict(), dict(model.named_buffers())
    tensors: dict[str, str] = {}
    filled: set[str] = set()
    over: list[str] = []
    for tensor in index.tensors:
        name, pattern = rename(tensor)
        if name not in state:
            # A table that the model makes for itself is in some files too.
            over += [] if name in buffers else [tensor]
        elif pattern is not None:
            filled.update(targets_of(name, pattern))
        else:
            filled.add(name)
            if name in tensors:
                both = f"{tensors[name]} and {tensor} are both {name} in memory"
                _refuse(index, both, "Keep one of the two: which of them transformers would take is not certain.")
            tensors[name] = tensor
    _check_missing(model, index, parameters, filled)
    for name, tensor in tensors.items():
        shape, own = index.tensors[tensor].span.shape, tuple(state[name].shape)
        if shape != own:
            _refuse(index, f"{tensor} is {list(shape)} in its files and {list(own)} by its config.json", _OTHER_MEANING)
    aside = _left_over(model, index, over)
    return Coordinates(tensors, aside)


def _check_missing(model: Any, index: CheckpointIndex, parameters: Mapping[str, Any], filled: set[str]) -> None:
    full = {id(parameters[name]) for name in filled if name in parameters}
    for one, other in getattr(model, "all_tied_weights_keys", {}).items():
        if {one, other} & filled:
            full |= {id(parameters[name]) for name in (one, other) if name in parameters}
    head = getattr(model.get_output_embeddings(), "weight", None)
    # Some parameters are tables that a model computes; its head never is.
    computed = [re.compile(pattern) for pattern in getattr(model, "_keys_to_ignore_on_load_missing", None) or ()]
    missing = [
        name
        for name, parameter in model.named_parameters()
        if id(parameter) not in full and (parameter is head or not any(one.search(name) for one in computed))
    ]
    if missing:
        why = f"its files lack {len(missing):,} of the model's {len(parameters):,} parameters, {_listed(missing)}"
        _refuse(index, why, "They would be random: save the model with its head and all layers, or download it again.")


def _left_over(model: Any, index: CheckpointIndex, names: Iterable[str]) -> tuple[str, ...]:
    """The tensors of parts that the model does not have; those that would change what it computes are refused."""
    ignored = [*(getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()), *_TABLES]
    by_design = re.compile("|".join(f"(?:{pattern})" for pattern in ignored))
    left = [name for name in names if not by_design.search(name)]
    wrong = [name for name in left if _is_meant(model, name)]
    if wrong:
        hint = next((hint for pattern, hint in _MEANINGS if pattern.search(wrong[0])), _OTHER_MEANING)
        tensors = "1 tensor" if len(wrong) == 1 else f"{len(wrong):,} tensors"
        _refuse(index, f"the model would be loaded without {tensors} of its files, {_listed(wrong)}", hint)
    return tuple(left)


def _is_meant(model: Any, tensor: str) -> bool:
    """True if a tensor that a model does not take would belong to a module or a list of layers that the model has."""
    if any(pattern.search(tensor) for pattern, _ in _MEANINGS[:2]):
        return True
    modules = dict(model.named_modules())
    base = getattr(model, "base_model_prefix", "")
    for path in (tensor, f"{base}.{tensor}", tensor.removeprefix(f"{base}.")):
        while path := path.rpartition(".")[0]:
            module = modules.get(path)
            if isinstance(module, nn.ModuleList) or (module is not None and not list(module.children())):
                return True
    return False


def _refuse(index: CheckpointIndex, why: str, hint: str) -> None:
    raise ModelNotLoadable(f"{index.folder} cannot be loaded as it is: {why}.", hint=hint, path=index.folder, why=why)


def _listed(names: Iterable[str]) -> str:
    """Up to three names, and the number of the others."""
    names = sorted(names)
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def parameters_of(model: Any, tensors: Iterable[str]) -> dict[str, str]:
    """Find the parameters of a model that hold checkpoint tensors with their elements in order.

    Args:
        model: loaded, or its modules without memory.
        tensors: names in the checkpoint.

    Returns:
        Tensor -> the name in ``model.named_parameters()``; its own if the model does not have it under another.

    Raises:
        NotEditable: transformers joins, splits or turns a tensor as it loads it.
    """
    found = {}
    as_they_are = not getattr(model, "_weight_conversions", None)
    rename = None
    for tensor in tensors:
        if as_they_are and _has(model, tensor):
            found[tensor] = tensor
            continue
        if rename is None:
            rename, _ = _renaming(model)
        name, pattern = rename(tensor)
        if pattern is not None:
            raise NotEditable(what=tensor, why=f"transformers makes it a part of {name} in another form")
        found[tensor] = name if _has(model, name) else tensor
    return found


def parameter_of(model: Any, tensor: str) -> str:
    """Find the parameter of one tensor; see :func:`parameters_of`."""
    return parameters_of(model, [tensor])[tensor]


def _renaming(model: Any) -> tuple[Callable[[str], tuple[str, str | None]], Callable[[str, str], list[str]]]:
    """The rule by which transformers names what it loads.

    Returns:
        A function from a tensor to its name in memory and the pattern of a conversion, None if it is kept as it is; and
        one from these two to all parameters that the conversion makes.
    """
    conversions = getattr(model, "_weight_conversions", None)
    if conversions is None:
        conversions = get_model_conversion_mapping(model) if hasattr(model, "config") else []
    converters = [entry for entry in conversions if isinstance(entry, WeightConverter)]
    renamings = [entry for entry in conversions if not isinstance(entry, WeightConverter)]
    prefix = getattr(model, "base_model_prefix", None)
    state = model.state_dict()

    def rename(tensor: str) -> tuple[str, str | None]:
        name, pattern = rename_source_key(tensor, renamings, converters, prefix, state)
        if name not in state and tensor in state:
            name, pattern = rename_source_key(tensor, [], [], prefix, state)
        return str(name), pattern

    def targets_of(name: str, pattern: str) -> list[str]:
        patterns = next(entry for entry in converters if pattern in entry.source_patterns).target_patterns
        return [name.replace(patterns[0], other) for other in patterns]

    return rename, targets_of


def check_identity(index: CheckpointIndex, tensor: str, weight: Tensor) -> None:
    """Refuse a parameter that is not the checkpoint's tensor, in its dtype in memory.

    Args:
        index: the checkpoint.
        tensor: the name in the checkpoint.
        weight: the value in memory, on any device.

    Raises:
        CoordinatesDiffer: the tensor is missing, or has another type, shape or values.
    """
    place = index.tensors.get(tensor)
    if place is None:
        raise CoordinatesDiffer(parameter=tensor, why="no tensor there has this name")
    if place.span.dtype not in EDITABLE:
        raise CoordinatesDiffer(parameter=tensor, why=f"its type there is {place.span.dtype}")
    if place.span.shape != tuple(weight.shape):
        why = f"its shape there is {list(place.span.shape)} instead of {list(weight.shape)}"
        raise CoordinatesDiffer(parameter=tensor, why=why)
    with safe_open(index.folder / place.shard, framework="pt") as file:
        stored = file.get_tensor(tensor).to(weight.dtype)
    if not torch.equal(_bits(stored), _bits(weight.detach().cpu())):
        raise CoordinatesDiffer(parameter=tensor, why="its values there are not those in memory")


def _has(model: Any, name: str) -> bool:
    try:
        model.get_parameter(name)
    except AttributeError:
        return False
    return True


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(torch.uint8)
