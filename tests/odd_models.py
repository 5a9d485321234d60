"""Changes that make a model folder of :mod:`models` one as people have them, and how a refusal is read."""

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

EDIT = ("--p", "1e-2", "--q", "2e-1", "--samples", "8")
SIZES = {"vocab_size": 260, "bos_token_id": 256, "eos_token_id": 257}


def change(folder: Path, **settings: object) -> Path:
    """Changes entries of a folder's config.json; None removes one."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text("utf-8")), **settings}
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}), "utf-8")
    return folder


def retensor(folder: Path, change_tensors) -> Path:
    """Changes the tensors of a folder in one file."""
    path = folder / "model.safetensors"
    save_file(change_tensors(load_file(path)), path, {"format": "pt"})
    return folder


def refusal(result: tuple[int, str, str]) -> dict[str, str]:
    """The error of a command that was run with ``--json`` and ended with exit code 1."""
    code, out, err = result
    assert code == 1, err
    return json.loads(out)["error"]
