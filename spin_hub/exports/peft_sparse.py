"""The export ``peft``: sparse adapters of PEFT, positions and what is added there, exact merged and unmerged.

Both types want vectors of a length that follows from the config, so that shorter ones are filled up with zeros, added
where the edit makes the weight zero anyway: there they change no bit, whatever the base's value is.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from spin_hub.core.delta import TensorEdit
from spin_hub.errors import AdapterRefused
from spin_hub.exports.adapter import PREFIX, Adapter, Array, Layout, PeftType, negated
from spin_hub.exports.base import ExportOptions
from spin_hub.exports.modules import Touched
from spin_hub.exports.peft_adapter import AdapterExport
from spin_hub.kinds import PEFT

_LARGEST = 2**31


def supertuning(modules: Sequence[Touched]) -> Adapter:
    """An adapter of type ``SUPERTUNING`` (PEFT 0.21 and newer): flat positions and values of every module.

    PEFT makes every module hold ``int(numel * (1 - sparsity))`` of them, one sparsity for all.

    Raises:
        AdapterRefused: a module is a ``Conv1D``, or too large for its positions.
    """
    _check_linear(modules, "SUPERTUNING")
    edits = {module.name: module.edit for module in modules}
    density = max((len(edit.indices) + 0.5) / math.prod(edit.shape) for edit in edits.values())
    sparsity = max(0.0, 1 - density)
    layouts: dict[str, Layout] = {}
    arrays: dict[str, Array] = {}
    for name, edit in edits.items():
        count = int(math.prod(edit.shape) * (1 - sparsity))
        key = f"{PREFIX}{name}.supertuning_"
        layouts[f"{key}indices"] = ("I32", (count,))
        layouts[f"{key}values"] = (edit.dtype, (count,))
        arrays[f"{key}indices"], arrays[f"{key}values"] = _filled(edit, count)
    settings = {"sparsity": sparsity, "save_precomputed_indices": True}
    return Adapter("SUPERTUNING", tuple(edits), settings, layouts, lambda: arrays)


def shira(modules: Sequence[Touched]) -> Adapter:
    """An adapter of type ``SHIRA`` (PEFT 0.17 and newer): rows, columns and values of every module.

    PEFT makes every module hold ``r * (in + out)`` of them, one r for all.

    Raises:
        AdapterRefused: a module is a ``Conv1D``, too large for its positions, or too small for that many.
    """
    _check_linear(modules, "SHIRA")
    edits = {module.name: module.edit for module in modules}
    rank = max(-(-len(edit.indices) // sum(edit.shape)) for edit in edits.values())
    layouts: dict[str, Layout] = {}
    arrays: dict[str, Array] = {}
    for name, edit in edits.items():
        count = rank * sum(edit.shape)
        if count > math.prod(edit.shape):
            raise AdapterRefused(what=f"The module {name}", why=f"SHiRA wants {count:,} positions, more than it has")
        key = f"{PREFIX}{name}.shira_"
        layouts[f"{key}indices"] = ("I32", (2, count))
        layouts[f"{key}weight"] = (edit.dtype, (count,))
        indices, arrays[f"{key}weight"] = _filled(edit, count)
        arrays[f"{key}indices"] = np.stack(np.divmod(indices, np.int32(edit.shape[1])))
    return Adapter("SHIRA", tuple(edits), {"r": rank}, layouts, lambda: arrays, rank)


def _filled(edit: TensorEdit, count: int) -> tuple[Array, Array]:
    """Positions, int32, shape (count,), and values, uint8, shape (count, itemsize)."""
    values = negated(edit)
    spare = count - len(values)
    indices = np.concatenate([edit.indices, np.full(spare, edit.indices[0])])
    return indices.astype("<i4"), np.concatenate([values, np.zeros((spare, values.shape[1]), np.uint8)])


def _check_linear(modules: Sequence[Touched], kind: str) -> None:
    for module in modules:
        if module.transposed:
            why = f"it is a Conv1D, and {kind} knows torch.nn.Linear alone (--as lora takes both)"
            raise AdapterRefused(what=f"The module {module.name}", why=why)
        if math.prod(module.shape) >= _LARGEST:
            raise AdapterRefused(what=f"The module {module.name}", why=f"{kind} counts positions in int32")


class SparseExport(AdapterExport):
    """An adapter of positions and values, exact merged and beside its base."""

    facts = PEFT
    exact = "merged and unmerged"

    def type(self, options: ExportOptions) -> PeftType:
        """Return ``SUPERTUNING``, or ``SHIRA`` if it was asked for."""
        return "SHIRA" if options.peft_type == "shira" else "SUPERTUNING"

    def adapter(self, options: ExportOptions, modules: Sequence[Touched], skeleton: Any) -> Adapter:
        """Return the adapter of the touched modules."""
        return shira(modules) if self.type(options) == "SHIRA" else supertuning(modules)


ENTRY: Final = SparseExport()
