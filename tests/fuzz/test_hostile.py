"""Folders made to do harm, through the command line in processes of its own: nothing leaves its place, nothing runs."""

import json
import os
import pickle
import shutil
from pathlib import Path

import forked
import numpy as np
import pytest
from deltas_of import delta_of
from fuzz_seeds import records
from safetensors.numpy import save_file

from spin_hub.artifacts.delta_file import write_delta
from spin_hub.checkpoint.digests import sha256
from spin_hub.checkpoint.index import read_index
from spin_hub.cli import app as cli
from spin_hub.core.delta import Delta
from spin_hub.errors import SpinHubError
from spin_hub.record import Record

pytestmark = pytest.mark.moderate

HOSTILE = (
    "{{ cycler.__init__.__globals__.os.system('touch pwned') }}{% for x in ().__class__.__base__.__subclasses__() %}"
    "{% endfor %}\x1b]0;title\x07\x1b[2J\x9b31m\u202egnp\u2066\x00\r${jndi}`$(touch pwned)`../../climbed"
)
TENSORS = ("../../climbed", "/tmp/climbed", "\x1b[2J\x9b31m.layers.3.up.weight", "\u202e.7.mlp", HOSTILE)
README = f"""---
license: !!python/object/apply:os.system ["touch pwned"]
base_model: !!python/object/apply:os.system ["touch pwned"]
---

{HOSTILE}
"""


class Payload:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def hostile_record(seed: bytes) -> dict:
    """A record with a payload in every text that may hold one, names of the base and licence among them."""
    entry = json.loads(seed)
    for parent, key in list(texts_of(entry)):
        kept, parent[key] = parent[key], HOSTILE
        try:
            Record.from_json(entry)
        except (ValueError, KeyError, TypeError, SpinHubError):
            parent[key] = kept
    return entry


def texts_of(value):
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        if isinstance(inner, str):
            yield value, key
        elif isinstance(inner, dict | list):
            yield from texts_of(inner)


def base(folder: Path, readme: str) -> Path:
    folder.mkdir(parents=True)
    save_file({name: np.ones((4, 6), np.float32) for name in TENSORS}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", HOSTILE: HOSTILE}), "utf-8")
    (folder / "README.md").write_text(readme, "utf-8")
    for name in ("pytorch_model.bin", "training_args.bin", "tokenizer.pkl"):
        (folder / name).write_bytes(pickle.dumps(Payload()))
    return folder


def put(folder: Path, delta: Delta, seed: bytes) -> Path:
    """A delta with a hostile record that belongs to it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_delta(folder / "spin_delta.safetensors", delta)
    record = hostile_record(seed)
    record["result"]["delta_sha256"] = sha256(folder / "spin_delta.safetensors")
    (folder / "spin.json").write_text(json.dumps(record), "utf-8")
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A working folder ``inner/desk`` within a folder that must stay as it is, with all that a stranger sends."""
    root = tmp_path_factory.mktemp("world")
    desk = root / "inner" / "desk"
    (root / "secret.txt").write_text("secret", "utf-8")
    model = base(desk / "model", README)
    (model / "linked.json").symlink_to(root / "secret.txt")
    delta = delta_of(model, dict.fromkeys(TENSORS, (1, 5)))
    said = {"rule": HOSTILE, "expression": HOSTILE, "ratios": {HOSTILE: 0.5}, "chosen_on": {"name": HOSTILE}}
    put(desk / "delta", Delta(delta.edits, delta.base, said), records()[1])
    put(desk / "other", Delta(dict(list(delta.edits.items())[:2]), delta.base, {"rule": "x"}), records()[1])
    shutil.copytree(model, desk / "edited", symlinks=True)
    raw = bytearray((desk / "edited" / "model.safetensors").read_bytes())
    for place in read_index(model).tensors.values():
        for at in (1, 5):
            raw[place.span.start + 4 * at : place.span.start + 4 * at + 4] = bytes(4)
    (desk / "edited" / "model.safetensors").write_bytes(raw)
    put(desk / "edited" / "spin", Delta(delta.edits, delta.base, said), records()[0])
    shutil.copy(desk / "edited" / "README.md", desk / "edited" / "spin" / "base-README.md")
    return root


COMMANDS = {
    "inspect a delta": ("inspect", "delta"),
    "inspect as JSON": ("inspect", "delta", "--json"),
    "inspect an edited model": ("inspect", "edited", "--png", "plots"),
    "diff": ("diff", "delta", "other"),
    "diff as JSON": ("diff", "delta", "other", "--json"),
    "combine": ("combine", "delta", "other", "--how", "and"),
    "apply": ("apply", "delta", "model"),
    "apply by force": ("apply", "other", "model", "--force", "-o", "applied"),
    "revert": ("revert", "edited"),
    "card of a delta": ("card", "delta"),
    "card of an edited model": ("card", "edited"),
    "verify an edited model": ("verify", "edited", "--base", "model"),
    "verify quickly": ("verify", "edited", "--base", "model", "--quick", "--json"),
    "verify a delta": ("verify", "delta", "--base", "model"),
    "reproduce": ("reproduce", "delta", "--base", "model"),
    "export": ("export", "delta", "--as", "peft", "--base", "model"),
    "a recipe": ("edit", "model", "--recipe", "delta/spin.json", "--plan"),
}


def state(folder: Path) -> dict[str, bytes | str]:
    return {
        path.relative_to(folder).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture(scope="module")
def ran(world):
    """Every command, one after another, in one working folder."""
    desk, before = world / "inner" / "desk", state(world)
    environment = {**os.environ, "HOME": str(world / "inner"), "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
    done = {}
    for name, words in COMMANDS.items():
        done[name] = forked.run(cli.main, ["spin-hub", *words], desk, environment)
    return before, done


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_ends_well_or_with_a_sentence(ran, name):
    done = ran[1][name]
    assert not any(word in done.stderr for word in (b"Traceback", b"bug of spin-hub")), done.stderr.decode()[-800:]
    assert done.returncode in (0, 1, 2, 3)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_control_character_reaches_the_terminal(ran, name):
    done = ran[1][name]
    for text in (done.stdout.decode("utf-8"), done.stderr.decode("utf-8")):
        assert [character for character in text if not (character.isprintable() or character == "\n")] == []


def test_the_hostile_names_were_shown(ran):
    shown = b"".join(ran[1][name].stdout for name in ("inspect a delta", "inspect as JSON", "diff"))
    assert b"touch pwned" in shown and b"climbed" in shown


@pytest.mark.parametrize("name", ["inspect a delta", "inspect as JSON", "diff", "apply by force", "combine"])
def test_hostile_names_alone_are_no_reason_to_refuse(ran, name):
    assert ran[1][name].returncode == 0, ran[1][name].stderr.decode()


def test_nothing_is_written_outside_the_outputs(ran, world):
    before, _ = ran
    after = state(world)
    assert {name: after.get(name) for name in before if not name.endswith("README.md")} == {
        name: data for name, data in before.items() if not name.endswith("README.md")
    }
    new = {Path(name).parts[:3] for name in after.keys() - before.keys() if "/.cache/" not in name}
    assert {parts[:2] for parts in new} <= {("inner", "desk")}, new
    assert ("inner", "desk", "applied") in new
    assert not [name for name in after if name.split("/")[-1].startswith(("climbed", "pwned"))]


def test_no_output_holds_a_link(ran, world):
    before, _ = ran
    links = [path for path in (world / "inner").rglob("*") if path.is_symlink()]
    assert {path.relative_to(world).as_posix() for path in links} <= set(before)


def test_the_card_shows_a_payload_as_text(ran, world):
    assert "cycler.__init__" in (world / "inner" / "desk" / "delta" / "README.md").read_text("utf-8")
