"""Ranking files: ``spin_ranking.safetensors``, from which ``select`` works without a model."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from spin_hub.artifacts.container import (
    checked,
    index_code,
    layouts_from_json,
    layouts_to_json,
    mapped,
    mapped_raw,
    read_about,
    write_container,
)
from spin_hub.checkpoint.header import Header
from spin_hub.core.ranking import RankedTensor, Ranking, TopWeights
from spin_hub.errors import CorruptFile, UsageError
from spin_hub.record import ModelRecord, ScoringRecord
from spin_hub.version import __version__

NAME: Final = "spin_ranking.safetensors"


@dataclass(frozen=True)
class RankingFile:
    """A ranking with what it was made from."""

    ranking: Ranking
    model: ModelRecord
    scoring: ScoringRecord


def write_ranking(path: Path, content: RankingFile) -> None:
    """Write a ranking; equal contents give equal files.

    Raises:
        OSError: the file cannot be written.
    """
    arrays: dict[str, tuple[str, Any]] = {}
    for name, tensor in content.ranking.tensors.items():
        code = index_code(math.prod(tensor.shape))
        for set_name, top in tensor.tops.items():
            arrays[f"{name}.{set_name}.indices"] = (code, top.indices.astype("<i8" if code == "I64" else "<i4"))
            arrays[f"{name}.{set_name}.importance"] = ("F32", top.importance.astype("<f4"))
            arrays[f"{name}.{set_name}.original"] = (tensor.dtype, top.original)
    about = {
        "kind": "ranking",
        "keep": content.ranking.keep,
        "sets": list(content.ranking.sets),
        "model": content.model.to_json(),
        "scoring": content.scoring.to_json(),
        "layouts": layouts_to_json(
            (name, tensor.dtype, tensor.shape) for name, tensor in content.ranking.tensors.items()
        ),
        "tool": f"spin-hub {__version__}",
    }
    write_container(path, arrays, about)


def read_ranking(path: Path) -> RankingFile:
    """Open a ranking; its vectors stay in the file until they are used.

    Raises:
        CorruptFile: not a ranking, damaged, or with positions outside their tensor.
        UnsupportedFormat: a format version that is not known.
    """
    header, about = read_about(path, "ranking")
    try:
        return checked(path, lambda: _build(path, header, about))
    except UsageError as error:
        raise CorruptFile(path=path, why=f"its recipe is wrong ({error.message})") from error


def _build(path: Path, header: Header, about: dict[str, Any]) -> RankingFile:
    names = [str(name) for name in about["sets"]]
    tensors = {}
    for name, (dtype, shape) in sorted(layouts_from_json(about["layouts"]).items()):
        tops = {set_name: _top(path, header, f"{name}.{set_name}", (dtype, math.prod(shape))) for set_name in names}
        tensors[name] = RankedTensor(shape, dtype, tops)
    if len(header.spans) != 3 * len(names) * len(tensors):
        raise CorruptFile(path=path, why="it holds tensors that its description does not name")
    ranking = Ranking(tensors, float(about["keep"]))
    model = msgspec.convert(about["model"], ModelRecord)
    return RankingFile(ranking, model, msgspec.convert(about["scoring"], ScoringRecord))


def _top(path: Path, header: Header, prefix: str, tensor: tuple[str, int]) -> TopWeights:
    dtype, size = tensor
    indices = mapped(path, header, f"{prefix}.indices", index_code(size))
    importance = mapped(path, header, f"{prefix}.importance", "F32")
    original = mapped_raw(path, header, f"{prefix}.original", dtype)
    if not len(indices) == len(importance) == len(original):
        raise ValueError(f"the vectors of {prefix} have different lengths")
    if len(indices) and (indices.min() < 0 or indices.max() >= size or len(np.unique(indices)) != len(indices)):
        raise ValueError(f"the positions of {prefix} are doubled or outside the tensor")
    return TopWeights(indices, importance, original)
