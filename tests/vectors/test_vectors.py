"""The test vectors of docs/delta-format.md: remade, read by the library, and read by a program in another language."""

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from spin_hub.artifacts import delta_file
from spin_hub.artifacts.container import write_container
from spin_hub.artifacts.delta_file import read_delta, write_delta
from spin_hub.checkpoint.index import read_index
from spin_hub.checkpoint.patch import State, originals, state_of, write_patched_copy, zeros
from spin_hub.errors import SpinHubError

HERE = Path(__file__).parent
BASE, DELTA, EDITED = (HERE / f"{name}.safetensors" for name in ("base", "delta", "edited"))
REFUSED = json.loads((HERE / "refused.json").read_text("utf-8"))
FOUND_ON_THE_SHARD = {"missing-tensor", "missing-large-tensor", "other-shape"}
"""These deltas are sound in themselves."""


def checkpoint(folder, shard):
    folder.mkdir()
    (folder / "config.json").write_text("{}", "utf-8")
    shutil.copy(shard, folder / "model.safetensors")
    return read_index(folder)


def patched(folder, shard, values):
    index = checkpoint(folder / "here", shard)
    (folder / "there").mkdir()
    write_patched_copy(index, read_delta(DELTA).edits, values, folder / "there", lambda _: None)
    return (folder / "there" / "model.safetensors").read_bytes()


@pytest.fixture(scope="session")
def node():
    found = shutil.which("node")
    if found is None and (os.environ.get("CI") or os.environ.get("SPIN_HUB_REQUIRE_NODE")):
        pytest.fail("node is missing, and this is a place where the reader in JavaScript must be run")
    if found is None:
        pytest.skip("node is missing; .ci/run installs it")

    def run(*arguments):
        command = [found, str(HERE / "reader.mjs"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    return run


def test_the_vectors_are_those_that_the_script_makes(tmp_path):
    spec = importlib.util.spec_from_file_location("make_vectors", HERE / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.make(tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {path.relative_to(HERE): path.read_bytes() for path in HERE.rglob("*.safetensors")}
    assert made == kept | {Path("refused.json"): (HERE / "refused.json").read_bytes()}
    assert {path.stem for path in (HERE / "refused").iterdir()} == set(REFUSED)


def test_the_library_writes_the_same_delta_byte_by_byte(tmp_path, monkeypatch):
    def with_tool(path, arrays, about):
        write_container(path, arrays, {**about, "tool": "the test vectors of spin-hub"})

    monkeypatch.setattr(delta_file, "write_container", with_tool)
    write_delta(tmp_path / "delta", read_delta(DELTA))
    assert (tmp_path / "delta").read_bytes() == DELTA.read_bytes()


def test_the_library_applies_and_takes_back(tmp_path):
    for name, shard, values, wanted in (("apply", BASE, zeros, EDITED), ("revert", EDITED, originals, BASE)):
        (tmp_path / name).mkdir()
        assert patched(tmp_path / name, shard, values) == wanted.read_bytes()


def test_the_two_shards_differ_and_are_told_apart(tmp_path):
    delta = read_delta(DELTA)
    assert state_of(checkpoint(tmp_path / "base", BASE), delta) is State.ORIGINAL
    assert state_of(checkpoint(tmp_path / "edited", EDITED), delta) is State.EDITED


@pytest.mark.parametrize("name", REFUSED)
def test_the_library_refuses(name, tmp_path):
    file, index = HERE / "refused" / f"{name}.safetensors", checkpoint(tmp_path / "base", BASE)
    if name in FOUND_ON_THE_SHARD:
        delta = read_delta(file)
        with pytest.raises(SpinHubError):
            state_of(index, delta)
    else:
        with pytest.raises(SpinHubError):
            read_delta(file)


def test_a_reader_in_javascript_applies_and_takes_back(node, tmp_path):
    for options, shard, wanted in (((), BASE, EDITED), (("--revert",), EDITED, BASE)):
        done = node(DELTA, shard, tmp_path / wanted.name, *options)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert (tmp_path / wanted.name).read_bytes() == wanted.read_bytes()


@pytest.mark.parametrize("name", REFUSED)
def test_a_reader_in_javascript_refuses_and_writes_nothing(name, node, tmp_path):
    done = node(HERE / "refused" / f"{name}.safetensors", BASE, tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith("Refused: ") and done.stderr.endswith(".\n") and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("shard", "options"), [(EDITED, ()), (BASE, ("--revert",))], ids=["edited", "not edited"])
def test_a_reader_in_javascript_refuses_a_shard_in_the_wrong_state(shard, options, node, tmp_path):
    done = node(DELTA, shard, tmp_path / "out", *options)
    assert done.returncode == 1
    assert "other values" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_reader_in_javascript_is_short():
    assert len((HERE / "reader.mjs").read_text("utf-8").splitlines()) <= 80
