"""Where every tensor of a checkpoint folder lies: one file or many shards, seen alike."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spin_hub.checkpoint.header import TensorSpan, read_header
from spin_hub.core.dtypes import itemsize
from spin_hub.core.files import LONGEST_NAME
from spin_hub.core.json import parse
from spin_hub.core.selection import Indices
from spin_hub.errors import CorruptFile, ModelNotFound, NoSafetensors, QuantisedCheckpoint

SINGLE: Final = "model.safetensors"
SHARDED: Final = "model.safetensors.index.json"
_KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "model_type": ((str,), "text"),
    "architectures": ((list,), "a list"),
    "auto_map": ((dict,), "an object"),
    "text_config": ((dict,), "an object"),
    "dtype": ((str, dict), "text"),
    "torch_dtype": ((str, dict), "text"),
}
"""Of what a config holds, the types of what is read of it; null is none."""


@dataclass(frozen=True)
class TensorPlace:
    """A tensor's shard (its name relative to the folder) and its span in it."""

    shard: str
    span: TensorSpan


@dataclass(frozen=True)
class CheckpointIndex:
    """A checkpoint folder: tensor name -> place, its config, and its shards in order of their names."""

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorPlace]
    shards: tuple[str, ...]

    def raw(self, name: str, indices: Indices) -> NDArray[np.uint8]:
        """The bytes of some elements of a tensor, as they lie in the file.

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

    ``model.safetensors`` wins over an index file, as in transformers.

    Raises:
        ModelNotFound: there is no config.json, or it is not JSON.
        NoSafetensors: there are no safetensors weights.
        QuantisedCheckpoint: the config names a quantisation other than plain FP8.
        CorruptFile: a shard is missing, truncated or damaged.
    """
    config = read_config(folder)
    shards = _shards(folder)
    tensors: dict[str, TensorPlace] = {}
    for shard in shards:
        for name, span in read_header(folder / shard).spans.items():
            if name in tensors:
                raise CorruptFile(path=folder / shard, why=f"the tensor {name!r} is in {tensors[name].shard} too")
            tensors[name] = TensorPlace(shard, span)
    _check_complete(folder, tensors)
    return CheckpointIndex(folder, config, tensors, shards)


def read_config(folder: Path) -> Mapping[str, Any]:
    """The folder's config.json.

    Raises:
        ModelNotFound: it is missing or not a JSON object.
        CorruptFile: something that is read of it is of another type.
        QuantisedCheckpoint: it says that the weights are quantised or packed.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ModelNotFound(model=str(folder), why="the folder has no config.json")
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


def _shards(folder: Path) -> tuple[str, ...]:
    if (folder / SINGLE).is_file():
        return (SINGLE,)
    if not (folder / SHARDED).is_file():
        others = sorted(path.name for path in folder.iterdir() if path.suffix in {".bin", ".pt", ".pth", ".gguf"})
        raise NoSafetensors(path=folder, others=", ".join(others) or "no weights at all")
    shards = named_shards(folder / SHARDED, _weight_map(folder))
    for shard in shards:
        if not (folder / shard).is_file():
            raise CorruptFile(path=folder / shard, why="the index names this shard, but it is missing")
    return shards


def named_shards(path: str | Path, weight_map: Mapping[str, str]) -> tuple[str, ...]:
    """The shards that an index names, sorted.

    Raises:
        CorruptFile: one of them lies elsewhere.
    """
    shards = tuple(sorted(set(weight_map.values())))
    for shard in shards:
        if Path(shard).name != shard or not shard.endswith(".safetensors") or len(shard.encode()) > LONGEST_NAME:
            raise CorruptFile(path=path, why=f"it names a shard {shard[:80]!r} outside the folder")
    return shards


def _weight_map(folder: Path) -> dict[str, str]:
    return parse_weight_map(folder / SHARDED, (folder / SHARDED).read_bytes())


def parse_weight_map(path: str | Path, data: bytes) -> dict[str, str]:
    """Tensor name -> shard, as an index file says it.

    Raises:
        CorruptFile: it is no such file.
    """
    try:
        entries = parse(data)["weight_map"]
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptFile(path=path, why="it has no weight_map") from error
    if not isinstance(entries, dict) or not all(isinstance(shard, str) for shard in entries.values()):
        raise CorruptFile(path=path, why="its weight_map does not map names to shards")
    return entries


def _check_complete(folder: Path, tensors: Mapping[str, TensorPlace]) -> None:
    if (folder / SINGLE).is_file():
        return
    for name, shard in _weight_map(folder).items():
        if name not in tensors or tensors[name].shard != shard:
            raise CorruptFile(path=folder / shard, why=f"the index says that it holds {name!r}, but it does not")
