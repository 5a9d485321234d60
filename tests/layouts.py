"""Folders whose weights are laid out otherwise than save_pretrained does, and the bytes that are read of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, modeling_utils

from spin_hub.checkpoint.index import read_index
from spin_hub.core.files import SHARDED

DOWN = "model.layers.0.mlp.down_proj.weight"
OVERLAY = "model-overlay.safetensors"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d" * 32 + "\nsize 12345\n"


def weight_map(folder: Path) -> dict[str, str]:
    return json.loads((folder / SHARDED).read_text("utf-8"))["weight_map"]


def write_map(folder: Path, entries: Mapping[str, str]) -> None:
    (folder / SHARDED).write_text(json.dumps({"metadata": {}, "weight_map": dict(entries)}), "utf-8")


def overlay(folder: Path) -> Path:
    """Adds a shard with another value of one tensor, to which the index points."""
    entries = weight_map(folder)
    changed = {DOWN: load_file(folder / entries[DOWN])[DOWN] + 1}
    save_file(changed, folder / OVERLAY, metadata={"format": "pt"})
    write_map(folder, entries | {DOWN: OVERLAY})
    return folder


def as_transformers_reads(folder: Path, **loading: Any) -> dict[str, bytes]:
    """The bytes of every tensor that transformers takes from the files of a folder."""
    found = {}

    def kept(model: Any, state_dict: Mapping[str, Any], *rest: Any, **options: Any) -> Any:
        found.update({name: tensor[...].contiguous() for name, tensor in state_dict.items()})
        return real(model, state_dict, *rest, **options)

    real = modeling_utils.convert_and_load_state_dict_in_model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modeling_utils, "convert_and_load_state_dict_in_model", kept)
        AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, local_files_only=True, **loading)
    return {name: tensor.view(torch.uint8).numpy().tobytes() for name, tensor in found.items()}


def as_spin_hub_reads(folder: Path) -> dict[str, bytes]:
    """The bytes of every tensor at the place that spin-hub knows it by."""
    found = {}
    for name, place in read_index(folder).tensors.items():
        with (folder / place.shard).open("rb") as file:
            file.seek(place.span.start)
            found[name] = file.read(place.span.nbytes)
    return found
