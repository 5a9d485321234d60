"""Which files of a base model, by name, an edited copy keeps or leaves out."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

README: Final = "README.md"
SPIN: Final = "spin"

_TWIN_SUFFIXES: Final = frozenset(
    {".bin", ".pt", ".pth", ".ckpt", ".gguf", ".ggml", ".onnx", ".onnx_data", ".h5", ".msgpack", ".npz", ".tflite",
     ".mlmodel", ".ot", ".pkl", ".safetensors"}
)  # fmt: skip
_TWIN_FOLDERS: Final = frozenset({"original", "onnx", "openvino", "coreml", "gguf"})


@dataclass(frozen=True)
class Contents:
    """The files of a model, by names relative to its folder (POSIX), sorted.

    Attributes:
        kept: copied into an edited model: shards, config, tokenizer, code, licence; without the README.
        left_out: may hold unedited twins of the weights.
        readme: whether there is a README.md.
    """

    kept: tuple[str, ...]
    left_out: tuple[str, ...]
    readme: bool

    @property
    def proven(self) -> tuple[str, ...]:
        """The files that a revert gives back byte for byte."""
        return tuple(sorted((*self.kept, README))) if self.readme else self.kept


def split_names(names: Iterable[str], shards: Collection[str]) -> Contents:
    """Sorts names of files; hidden files, caches and an earlier ``spin/`` take no part."""
    visible = sorted(name for name in names if _takes_part(PurePosixPath(name)))
    twins = tuple(name for name in visible if name not in shards and _may_be_twin(PurePosixPath(name)))
    kept = tuple(name for name in visible if name not in twins and name != README)
    return Contents(kept, twins, README in visible)


def _takes_part(name: PurePosixPath) -> bool:
    return not any(part.startswith(".") or part == "__pycache__" for part in name.parts) and name.parts[0] != SPIN


def _may_be_twin(name: PurePosixPath) -> bool:
    folders = {part.lower() for part in name.parts[:-1]}
    index_of_twins = name.name.endswith(".index.json") and str(name) != "model.safetensors.index.json"
    consolidated = name.name.startswith("consolidated")
    return name.suffix.lower() in _TWIN_SUFFIXES or bool(folders & _TWIN_FOLDERS) or index_of_twins or consolidated
