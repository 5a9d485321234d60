"""What is quick stays quick: no slow library where it is not needed."""

import logging
import os
import subprocess
import sys

import numpy as np
import pytest

from spin_hub.artifacts.delta_file import write_delta
from spin_hub.core.delta import BaseRef, Delta, TensorEdit

pytestmark = pytest.mark.moderate

PROBE = """
import sys
from spin_hub.cli.app import run
code = run(sys.argv[1:])
slow = {"torch", "transformers", "datasets", "peft", "pandas"} & set(sys.modules)
sys.exit(f"imported {slow}" if slow else code)
"""


def probe(*arguments: str, folder) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *map(str, arguments)], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr


def test_other_libraries_keep_their_notes_to_themselves(cli, monkeypatch):
    monkeypatch.delenv("DATASETS_VERBOSITY", raising=False)
    assert cli("--version")[0] == 0
    assert os.environ["DATASETS_VERBOSITY"] == "error"
    assert not logging.getLogger("accelerate.big_modeling").isEnabledFor(logging.WARNING)


@pytest.mark.parametrize("arguments", [("--help",), ("edit", "--help"), ("export", "--help"), ("--version",)])
def test_help_imports_nothing_slow(arguments, tmp_path):
    probe(*arguments, folder=tmp_path)


def test_apply_verify_revert_inspect_card_diff_and_combine_need_no_torch(tiny, tmp_path):
    from spin_hub.checkpoint.index import read_index

    index = read_index(tiny)
    name = "model.layers.0.mlp.up_proj.weight"
    indices = np.array([3, 5])
    edit = TensorEdit(index.tensors[name].span.shape, "F32", indices, index.raw(name, indices))
    from spin_hub.checkpoint.digests import digests

    files = {path.name: path for path in tiny.iterdir()}
    base = BaseRef(files=digests(tiny, files, lambda _: None))
    write_delta(tmp_path / "delta.safetensors", Delta({name: edit}, base, {"rule": "paper", "ratios": {}}))
    probe("inspect", "delta.safetensors", folder=tmp_path)
    probe("apply", "delta.safetensors", tiny, "-o", "edited", folder=tmp_path)
    probe("inspect", "edited", folder=tmp_path)
    probe("verify", "edited", "--base", tiny, folder=tmp_path)
    probe("verify", "edited", "--base", tiny, "--quick", folder=tmp_path)
    probe("card", "edited", folder=tmp_path)
    probe("revert", "edited", "-o", "back", folder=tmp_path)
    probe("diff", "delta.safetensors", "edited", folder=tmp_path)
    probe("combine", "delta.safetensors", "edited", "--how", "and", "-o", "both", folder=tmp_path)
