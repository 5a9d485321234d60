"""The files that hold a model's weights, chosen as transformers chooses them, and the ones that are set aside.

``model.safetensors`` wins over an index. Of an index only the names of its shards count: transformers reads all tensors
of all of them in the order of the shards' names, and of two tensors with one name it keeps the last.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeGuard

from spin_hub.checkpoint.lfs import is_pointer
from spin_hub.core.files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, CONFIG, SHARDED, SINGLE, split_names, stays_inside
from spin_hub.core.json import parse
from spin_hub.errors import CorruptFile, LfsPointer, NoSafetensors, WeightsIncomplete

# The key of a config that names a file of weights, or an index, in place of the usual ones.
_EXPLICIT: Final = "transformers_weights"
_NAMED: Final = 3


@dataclass(frozen=True)
class Layout:
    """The weight files of a model, by names relative to its folder.

    Attributes:
        shards: sorted; of two tensors with one name, the one in the later shard counts.
        index: the index in use, or None for a single file.
        weight_map: tensor -> shard, as the index has it.
        metadata: False if the index has none, without which transformers does not read it.
    """

    shards: tuple[str, ...]
    index: str | None = None
    weight_map: Mapping[str, str] = field(default_factory=dict)
    metadata: bool = True

    @property
    def files(self) -> tuple[str, ...]:
        """The shards and their index."""
        return self.shards if self.index is None else (*self.shards, self.index)


def find_layout(model: str | Path, names: Collection[str], read: Callable[[str], bytes]) -> Layout:
    """Find the weight files of a model among its files.

    Args:
        model: for messages: its folder or Hub id.
        names: of its files, relative to its folder.
        read: returns the content of a small file.

    Raises:
        NoSafetensors: there are no safetensors weights, or those of an adapter alone.
        WeightsIncomplete: the index is missing, or shards that it names.
        CorruptFile: the index is damaged.
    """
    explicit = _explicit(model, read(CONFIG)) if CONFIG in names else None
    if explicit is not None and explicit not in names:
        raise WeightsIncomplete(path=model, why=f"{explicit}, which its config names, is missing")
    first = explicit or next((name for name in (SINGLE, SHARDED) if name in names), None)
    if first is None:
        raise _no_weights(model, names, read)
    if not first.endswith(".index.json"):
        return Layout((first,))
    entries = _index(f"{model}/{first}", read(first))
    weight_map, shards = entries["weight_map"], tuple(sorted(set(entries["weight_map"].values())))
    missing = [shard for shard in shards if shard not in names]
    if missing:
        why = f"{len(missing)} of the {len(shards)} shards that {first} names {_are(missing)} missing"
        others = [name for name in _top(names) if name not in shards]
        beside = f", and {_quoted(others)} {_are(others)} here instead" if others else ""
        raise WeightsIncomplete(path=model, why=f"{why} ({_quoted(missing)}){beside}")
    return Layout(shards, first, weight_map, "metadata" in entries)


def notes_on(layout: Layout, names: Collection[str]) -> list[str]:
    """Say what lies beside the weights and is set aside: other weights, and an adapter."""
    notes = []
    rivals = [name for name in _top(names) if name not in layout.shards]
    rivals += [SHARDED] if SHARDED in names and layout.index != SHARDED else []
    if rivals:
        taken = layout.shards[0] if layout.index is None else f"those that {layout.index} names"
        aside = f"{_quoted(rivals)} {_are(rivals)} set aside"
        notes.append(f"The weights are read from {taken}, as transformers reads them; {aside}.")
    adapter = sorted(name for name in names if name in {ADAPTER_CONFIG, *ADAPTER_WEIGHTS})
    if adapter:
        notes.append(f"An adapter lies beside the weights and is set aside: {_quoted(adapter)}.")
    return notes


def _index(path: str | Path, data: bytes) -> Mapping[str, Any]:
    """Parse an index, such as ``{"metadata": {}, "weight_map": {"w": "model-00001-of-00002.safetensors"}}``."""
    if is_pointer(data):
        raise LfsPointer(path=path)
    try:
        entries: Mapping[str, Any] = parse(data)
        weight_map = entries["weight_map"]
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptFile(path=path, why="it has no weight_map") from error
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise CorruptFile(path=path, why="its weight_map does not map names to shards")
    for shard in weight_map.values():
        if not _is_plain(shard, ".safetensors"):
            raise CorruptFile(path=path, why=f"it names a shard {shard[:80]!r} outside the folder")
    if not weight_map:
        raise CorruptFile(path=path, why="it names no shard")
    return entries


def _no_weights(model: str | Path, names: Collection[str], read: Callable[[str], bytes]) -> NoSafetensors | CorruptFile:
    shards = _top(names)
    if shards:
        count = f"{len(shards)} shards are" if len(shards) > 1 else "a file of weights is"
        return WeightsIncomplete(path=model, why=f"{count} here ({_quoted(shards)}), but {SHARDED} is missing")
    if ADAPTER_CONFIG in names or ADAPTER_WEIGHTS & set(names):
        return adapter_alone(model, read(ADAPTER_CONFIG) if ADAPTER_CONFIG in names else b"")
    others = split_names(names, ()).left_out
    return NoSafetensors(path=model, others=", ".join(others) or "no weights at all")


def adapter_alone(model: str | Path, config: bytes) -> NoSafetensors:
    """Return the error for a folder or repo that holds an adapter and no model."""
    try:
        base = parse(config).get("base_model_name_or_path")
    except (ValueError, AttributeError):
        base = None
    of = f" of {base[:80]}" if isinstance(base, str) and base.isprintable() and base else ""
    return NoSafetensors(
        f"{model} holds an adapter{of}, not a model.",
        hint="Edit the model that it was made for, or merge it into that model first (PEFT's merge_and_unload).",
        path=model,
        others=ADAPTER_CONFIG,
    )


def _explicit(model: str | Path, config: bytes) -> str | None:
    try:
        name = parse(config, unique=False).get(_EXPLICIT)
    except (ValueError, AttributeError):
        # The config itself is judged where it is read for more.
        return None
    if name is not None and not _is_plain(name, ".safetensors", ".safetensors.index.json"):
        raise CorruptFile(path=f"{model}/{CONFIG}", why=f"its {_EXPLICIT} names no safetensors file beside it")
    return name


def _is_plain(name: object, *endings: str) -> TypeGuard[str]:
    return isinstance(name, str) and "/" not in name and stays_inside(name) and name.endswith(endings)


def _top(names: Iterable[str]) -> list[str]:
    """The safetensors files beside the config, but for an adapter's and hidden ones."""
    found = (name for name in names if "/" not in name and not name.startswith(".") and name.endswith(".safetensors"))
    return sorted(name for name in found if name not in ADAPTER_WEIGHTS)


def _quoted(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
