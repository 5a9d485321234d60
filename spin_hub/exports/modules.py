"""The modules of a model that a delta touches, one tensor each."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from torch import nn
from transformers.pytorch_utils import Conv1D

from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.core.dtypes import itemsize
from spin_hub.core.factors import Factors, factors_of
from spin_hub.errors import AdapterRefused, NotEditable
from spin_hub.exports.adapter import refusal
from spin_hub.models.coordinates import parameter_of

_NUMBER: Final = re.compile(r"(?<=\.)\d+(?=\.)")


@dataclass(frozen=True, eq=False)
class Touched:
    """One linear map and the edit of its weight.

    Attributes:
        name: the module's, such as ``model.layers.3.mlp.up_proj``.
        edit: of its weight; of no position where the module only goes along.
        transposed: whether the weight is (in, out), as in ``Conv1D``.
    """

    name: str
    edit: TensorEdit
    transposed: bool

    @property
    def shape(self) -> tuple[int, int]:
        """The weight's."""
        rows, columns = self.edit.shape
        return rows, columns

    @property
    def out_in(self) -> tuple[int, int]:
        """The number of output features, and of input features."""
        rows, columns = self.shape
        return (columns, rows) if self.transposed else (rows, columns)


def touched_modules(delta: Delta, model: Any) -> tuple[Touched, ...]:
    """The modules whose weights a delta touches, in the delta's order.

    Args:
        delta: in checkpoint coordinates.
        model: the base's modules; their weights may be without memory.

    Raises:
        AdapterRefused: a tensor is not the weight of one plain linear map of its own, or no sum makes its weights zero.
    """
    uses = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    found = tuple(_touched(name, edit, model, uses) for name, edit in delta.edits.items() if len(edit.indices))
    if not found:
        raise AdapterRefused(what="This delta", why="it holds no weight")
    return found


def every_layer(modules: Iterable[Touched], model: Any) -> tuple[Touched, ...]:
    """The touched modules, and those of the same name in all other layers, in the model's order."""
    known = {module.name: module for module in modules}
    kinds = {_kind(name): module.edit.dtype for name, module in known.items()}
    found = []
    for name, module in model.named_modules():
        if name in known:
            found.append(known[name])
        elif _kind(name) in kinds and isinstance(module, nn.Linear | Conv1D):
            dtype = kinds[_kind(name)]
            nothing = np.empty(0, np.int64), np.empty((0, itemsize(dtype)), np.uint8)
            found.append(Touched(name, TensorEdit(tuple(module.weight.shape), dtype, *nothing), _is_transposed(module)))
    return tuple(found)


def short_names(modules: Iterable[Touched], model: Any) -> tuple[str, ...]:
    """The last parts of the modules' names, such as ``up_proj``, where they mean these alone; else the whole names."""
    names = [module.name for module in modules]
    short = sorted({name.rpartition(".")[2] for name in names})
    meant = [name for name, _ in model.named_modules() if name.rpartition(".")[2] in short]
    return tuple(short) if sorted(meant) == sorted(names) else tuple(names)


def factors_by_module(modules: Iterable[Touched]) -> dict[str, Factors]:
    """Return module -> the factors of its edit as matrices (out, in), of rank 0 if it has none."""
    return {module.name: factors_of(module.edit.indices, module.shape, module.transposed) for module in modules}


def _kind(name: str) -> str:
    """A module's name without the number of its layer."""
    return _NUMBER.sub("*", name)


def _touched(name: str, edit: TensorEdit, model: Any, uses: Counter[int]) -> Touched:
    try:
        path, _, last = parameter_of(model, name).rpartition(".")
    except NotEditable as error:
        raise AdapterRefused(what=f"The tensor {name}", why="the model has it renamed or fused in memory") from error
    module = _module(model, path) if last == "weight" else None
    why = _unusual(edit) or _other_module(module, edit, model, uses) or refusal(edit)
    if why:
        raise AdapterRefused(what=f"The tensor {name}", why=why)
    return Touched(path, edit, _is_transposed(module))


def _is_transposed(module: nn.Module | None) -> bool:
    return isinstance(module, Conv1D)


def _unusual(edit: TensorEdit) -> str | None:
    if len(edit.shape) == 3:
        return f"its shape {list(edit.shape)} is that of fused experts, and adapters know linear maps alone"
    return None if len(edit.shape) == 2 else f"its shape {list(edit.shape)} is not that of a matrix"


def _module(model: Any, path: str) -> nn.Module | None:
    try:
        found: nn.Module = model.get_submodule(path)
    except AttributeError:
        return None
    return found


def _other_module(module: nn.Module | None, edit: TensorEdit, model: Any, uses: Counter[int]) -> str | None:
    if module is None:
        return "the model has no module of this name, or has it renamed or fused in memory"
    weight = getattr(module, "weight", None)
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    if uses[id(weight)] > 1 or (model.config.get_text_config().tie_word_embeddings and module in ends):
        return "input embedding and output head share it, and an adapter would change only one of its two uses"
    if not isinstance(module, nn.Linear | Conv1D):
        return f"it belongs to a {type(module).__name__}, not to a plain linear map"
    if tuple(module.weight.shape) != edit.shape:
        return f"its shape in memory is {list(module.weight.shape)} instead of {list(edit.shape)}"
    return None
