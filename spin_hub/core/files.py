"""The files of a base model by role: those that an edited copy keeps, and those that it leaves out."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

README: Final = "README.md"
SPIN: Final = "spin"
DELTA: Final = "spin_delta.safetensors"

LONGEST_NAME: Final = 255
_TWIN_SUFFIXES: Final = frozenset(
    {".bin", ".pt", ".pth", ".ckpt", ".gguf", ".ggml", ".onnx", ".onnx_data", ".h5", ".msgpack", ".npz", ".tflite",
     ".mlmodel", ".ot", ".pkl", ".safetensors"}
)  # fmt: skip
_TWIN_FOLDERS: Final = frozenset({"original", "onnx", "openvino", "coreml", "gguf"})

CONFIG: Final = "config.json"
SINGLE: Final = "model.safetensors"
SHARDED: Final = "model.safetensors.index.json"
ADAPTER_CONFIG: Final = "adapter_config.json"
ADAPTER_WEIGHTS: Final = frozenset({"adapter_model.safetensors", "adapter_model.bin"})

TWIN_PATTERNS: Final = (
    *sorted(f"*{suffix}" for suffix in _TWIN_SUFFIXES - {".safetensors"}),
    *sorted(f"{folder}/*" for folder in _TWIN_FOLDERS),
    "consolidated*",
)
"""Globs of names that an edited copy leaves out and nobody needs to download."""


@dataclass(frozen=True)
class Contents:
    """The files of a model, by names relative to its folder (POSIX), sorted.

    Attributes:
        kept: copied into an edited model: shards, config, tokenizer, code, licence; without the README.
        left_out: may hold unedited twins of the weights, an adapter to them, or describe such files.
        readme: whether there is a README.md.
    """

    kept: tuple[str, ...]
    left_out: tuple[str, ...]
    readme: bool

    @property
    def proven(self) -> tuple[str, ...]:
        """The files that a revert restores byte for byte."""
        return tuple(sorted((*self.kept, README))) if self.readme else self.kept


def split_names(names: Iterable[str], weights: Collection[str]) -> Contents:
    """Sort names of files; hidden files, caches and an earlier ``spin/`` take no part.

    A file that describes others, such as an index or an adapter's config, is left out with them.

    Args:
        names: relative to the model's folder.
        weights: the shards and their index, which are kept whatever their names.
    """
    visible = sorted(name for name in names if _takes_part(name))
    twins = {name for name in visible if name not in weights and _may_be_twin(name)}
    twins |= {name for name in visible if name not in weights and _describes(name, twins)}
    kept = tuple(name for name in visible if name not in twins and name != README)
    return Contents(kept, tuple(sorted(twins)), README in visible)


def stays_inside(name: object) -> bool:
    """True if a name, which may be untrusted, is that of a file within a model's folder."""
    # A backslash or a colon leads elsewhere on Windows, and a model that one system refuses is of no use to others.
    if not isinstance(name, str) or set(name) & set("\\:\0"):
        return False
    parts = name.split("/")
    return all(part and not part.startswith(".") and len(part.encode()) <= LONGEST_NAME for part in parts)


def is_licence(name: str) -> bool:
    """True if a file of a model's top folder states its terms: a licence, a notice, a use policy."""
    return "/" not in name and name.upper().startswith(("LICENSE", "LICENCE", "NOTICE", "USE_POLICY"))


def shard_digests(files: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of the safetensors shards among those of a model's files."""
    return {name: digest for name, digest in files.items() if name.endswith(".safetensors")}


def _takes_part(name: str) -> bool:
    parts = name.split("/")
    return not any(part.startswith(".") or part == "__pycache__" for part in parts) and parts[0] != SPIN


def _may_be_twin(name: str) -> bool:
    *folders, file = name.split("/")
    suffix = "".join(file.lower().rpartition(".")[1:])
    in_twin_folder = any(folder.lower() in _TWIN_FOLDERS or folder.endswith(".mlpackage") for folder in folders)
    named_so = ".onnx" in file.lower() or file.startswith("consolidated")
    return suffix in _TWIN_SUFFIXES or named_so or in_twin_folder


def _describes(name: str, twins: Collection[str]) -> bool:
    """True if a file describes weights that are left out, or an adapter, which never is of the weights themselves."""
    folder, _, file = name.rpartition("/")
    if file == "params.json":
        return any(twin.rpartition("/")[0] == folder and "/consolidated" in f"/{twin}" for twin in twins)
    of_twin = file.endswith(".xml") and f"{name.removesuffix('.xml')}.bin" in twins
    return of_twin or file == ADAPTER_CONFIG or file.endswith(".index.json")
