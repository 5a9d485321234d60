"""Where every tensor of a checkpoint folder lies: one file or many shards, seen alike."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spin_hub.checkpoint.header import TensorSpan, read_header
from spin_hub.checkpoint.layout import Layout, adapter_alone, find_layout, notes_on
from spin_hub.checkpoint.lfs import refuse_pointer
from spin_hub.core.dtypes import itemsize
from spin_hub.core.files import ADAPTER_CONFIG, CONFIG, Contents, split_names
from spin_hub.core.json import parse
from spin_hub.core.selection import Indices
from spin_hub.errors import CorruptFile, ModelNotFound, QuantisedCheckpoint

_KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "model_type": ((str,), "text"),
    "architectures": ((list,), "a list"),
    "auto_map": ((dict,), "an object"),
    "text_config": ((dict,), "an object"),
    "dtype": ((str, dict), "text"),
    "torch_dtype": ((str, dict), "text"),
}
"""Of what a config holds, the types of what is read of it; null is none."""

# Types whose elements mean nothing without a scale, where one is beside them.
_SCALED: Final = frozenset({"F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I8", "U8", "F4"})
_SCALE_WORDS: Final = ("scale", "scb", "absmax", "quant_state", "quant_map")
_SCALE_NOTE: Final = (
    "Quantised weights have scales beside them, such as {scale}, but config.json names no quantisation: they can be "
    "set to zero, but not scored."
)


@dataclass(frozen=True)
class TensorPlace:
    """A tensor's shard (its name relative to the folder) and its span in it."""

    shard: str
    span: TensorSpan


@dataclass(frozen=True)
class CheckpointIndex:
    """A checkpoint folder.

    Attributes:
        folder: the files.
        config: of the model.
        tensors: name -> place.
        layout: the files of weights.
        notes: sentences about what transformers does not load: superseded copies, other weights, an adapter.
    """

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorPlace]
    layout: Layout
    notes: tuple[str, ...] = ()

    @property
    def shards(self) -> tuple[str, ...]:
        """The files that hold tensors, sorted."""
        return self.layout.shards

    @cached_property
    def contents(self) -> Contents:
        """The folder's files, sorted into kept and left out."""
        names = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())
        return split_names(names, self.layout.files)

    def raw(self, name: str, indices: Indices) -> NDArray[np.uint8]:
        """Read the bytes of some elements of a tensor, as they lie in the file.

        Args:
            name: the tensor.
            indices: flat row-major positions, shape (n,).

        Returns:
            uint8, shape (n, itemsize).
        """
        place = self.tensors[name]
        size = itemsize(place.span.dtype)
        shape = (place.span.nbytes // size, size)
        elements = np.memmap(self.folder / place.shard, np.uint8, "r", place.span.start, shape)
        return np.array(elements[indices])


def read_index(folder: Path) -> CheckpointIndex:
    """Read the config and all shard headers of a checkpoint folder, and check them.

    Raises:
        ModelNotFound: there is no config.json, or it is not JSON.
        NoSafetensors: there are no safetensors weights.
        QuantisedCheckpoint: the config names a quantisation other than plain FP8.
        CorruptFile: a shard is missing, truncated or damaged.
    """
    config = read_config(folder)
    names = [path.name for path in folder.iterdir() if path.is_file()]
    layout = find_layout(folder, names, lambda name: (folder / name).read_bytes())
    return build_index(folder, config, names, layout, {s: read_header(folder / s).spans for s in layout.shards})


def build_index(
    folder: Path,
    config: Mapping[str, Any],
    names: Collection[str],
    layout: Layout,
    headers: Mapping[str, Mapping[str, TensorSpan]],
) -> CheckpointIndex:
    """Put the headers of all shards together.

    Args:
        folder: of the model.
        config: of the model.
        names: of the files beside the config.
        layout: which of them hold weights.
        headers: shard -> tensor name -> span.
    """
    copies: dict[str, list[TensorPlace]] = {}
    for shard in layout.shards:
        for name, span in headers[shard].items():
            copies.setdefault(name, []).append(TensorPlace(shard, span))
    # transformers reads the shards in this order, so that the last copy is the model's.
    tensors = {name: places[-1] for name, places in copies.items()}
    notes = [*notes_on(layout, names), *_notes_on_copies(layout, copies)]
    if not config.get("quantization_config") and (scale := _scale(tensors)):
        notes.append(_SCALE_NOTE.format(scale=scale))
    return CheckpointIndex(folder, config, tensors, layout, tuple(notes))


def read_config(folder: Path) -> Mapping[str, Any]:
    """Read a folder's config.json.

    Raises:
        ModelNotFound: it is missing or not a JSON object.
        NoSafetensors: it is missing, and an adapter is there in place of a model.
        CorruptFile: something that is read of it is of another type.
        QuantisedCheckpoint: it says that the weights are quantised or packed.
    """
    path = folder / CONFIG
    if not path.is_file() and (adapter := folder / ADAPTER_CONFIG).is_file():
        raise adapter_alone(folder, adapter.read_bytes())
    if not path.is_file():
        raise ModelNotFound(model=str(folder), why="the folder has no config.json")
    refuse_pointer(path)
    try:
        config = parse(path.read_bytes(), unique=False)
    except ValueError as error:
        raise ModelNotFound(model=str(folder), why="its config.json is not valid JSON") from error
    if not isinstance(config, dict):
        raise ModelNotFound(model=str(folder), why="its config.json is not a JSON object")
    for name, (kinds, called) in _KINDS.items():
        if config.get(name) is not None and not isinstance(config[name], kinds):
            raise CorruptFile(path=path, why=f"{name} is {json.dumps(config[name])[:40]}, not {called}")
    if not all(isinstance(name, str) for name in config.get("architectures") or ()):
        raise CorruptFile(path=path, why="a name in its architectures is not a string")
    quantisation = config.get("quantization_config") or config.get("compression_config")
    if quantisation:
        method = quantisation.get("quant_method", "unknown") if isinstance(quantisation, dict) else "unknown"
        if method != "fp8":
            raise QuantisedCheckpoint(path=folder, method=method)
    return config


def _scale(tensors: Mapping[str, TensorPlace]) -> str | None:
    """Find a scale in the module of a quantised weight, such as ``x.weight_scale_inv`` beside ``x.weight``."""
    modules = {name.rpartition(".")[0] for name, place in tensors.items() if place.span.dtype in _SCALED}
    for name in tensors:
        module, _, last = name.rpartition(".")
        if module in modules and any(word in last.lower() for word in _SCALE_WORDS):
            return name
    return None


def _notes_on_copies(layout: Layout, copies: Mapping[str, list[TensorPlace]]) -> Iterator[str]:
    double = [name for name, places in copies.items() if len(places) > 1]
    if double:
        first, *_, last = copies[double[0]]
        yield (
            f"{_some(double)} in more than one shard: the copy in {last.shard} counts, as for transformers, and the "
            f"one in {first.shard} is superseded and stays as it is."
        )
    other = [name for name in double if layout.weight_map.get(name, copies[name][-1].shard) != copies[name][-1].shard]
    if other:
        yield (
            f"The index names another copy of {other[0]}, in {layout.weight_map[other[0]]}: a loader that goes by the "
            "index tensor by tensor reads that one, unedited."
        )
    absent = [name for name in layout.weight_map if name not in copies]
    if absent:
        more = f" and {len(absent) - 1:,} more" if len(absent) > 1 else ""
        yield f"The index lists {absent[0]}{more}, which no shard holds."


def _some(names: list[str]) -> str:
    return f"{names[0]} is" if len(names) == 1 else f"{len(names):,} tensors, such as {names[0]}, are"
