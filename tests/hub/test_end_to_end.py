"""A real model's edit on its whole way over a Hub, as people go it on the command line.

alice edits ``org/SmolLM2`` and publishes the edited model, and its delta alone. bob has trained the base a little
further; alice gives his model the same delta. Then anybody loads all of it with transformers, and everything is
taken back. The steps stand in fixtures, so that each is gone once.
"""

import filecmp
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import server
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.delta_file import NAME as DELTA
from spin_hub.artifacts.delta_file import read_delta
from spin_hub.artifacts.open import open_delta
from spin_hub.artifacts.write import write_delta_folder
from spin_hub.core.files import SPIN
from spin_hub.models.load import without_bars

pytestmark = pytest.mark.moderate

TOKENS = {"alice": "hf_alice", "bob": "hf_bob"}
BASE, TUNED = "org/SmolLM2", "bob/tuned"
EDITED, EDITED_TUNED, DELTA_ALONE = "alice/SmolLM2-spin", "alice/tuned-spin", "alice/SmolLM2-spin-delta"
SENTENCES = (
    "The ferry to the island leaves at seven and comes back at noon.",
    "She keeps the seeds of last year's beans in a paper bag.",
    "Nobody had told the new teacher that the bell rings twice.",
)
LOADER = """
import json, sys
from pathlib import Path
import numpy as np
import torch
from transformers import AutoModelForCausalLM
from spin_hub.artifacts.delta_file import read_delta

found = {}
for edited, original, delta in json.loads(sys.argv[1]):
    selection = dict(read_delta(Path(delta)).selection)
    models = [AutoModelForCausalLM.from_pretrained(name) for name in (edited, original)]
    zero, kept = 0, 0
    for (name, after), (same, old) in zip(*(model.named_parameters() for model in models), strict=True):
        assert name == same and after.dtype == torch.bfloat16
        expected = old.detach().clone()
        touched = torch.from_numpy(selection.pop(name, np.empty(0, np.int64)).copy())
        expected.view(-1)[touched] = 0
        assert torch.equal(after.view(torch.int16), expected.view(torch.int16)), name
        zero += len(touched)
        kept += after.numel() - len(touched)
    assert not selection
    found[edited] = {"zero": zero, "kept": kept}
print(json.dumps(found))
"""


@dataclass(frozen=True)
class World:
    """The Hub, and a machine in front of it: its working folder and its caches."""

    hub: server.LocalHub
    folder: Path

    def run(self, *arguments: str, who: str | None = "alice") -> dict[str, Any]:
        """A command line in a process of its own; counts the traffic anew and gives the command's JSON."""
        self.hub.reset_traffic()
        command = [sys.executable, "-m", "spin_hub.cli.app", *arguments, "--json"]
        return json.loads(self._ended_well(command, self.folder, who))

    def anybody(self, script: str, argument: str) -> str:
        """What Python prints on a machine that has never heard of any of this, without a token."""
        folder = self.folder / "elsewhere"
        folder.mkdir()
        return self._ended_well([sys.executable, "-c", script, argument], folder, None)

    def _ended_well(self, command: list[str], folder: Path, who: str | None) -> str:
        environment = self.hub.environment(folder / "hf", TOKENS[who] if who else None)
        environment["XDG_CACHE_HOME"] = str(folder / "cache")
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that goes away at once: pytest would keep the gigabytes of its last three runs."""
    folder = tmp_path_factory.mktemp("end-to-end")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def base(place: Path, smollm2: Path) -> Path:
    """The real model in shards, the first of which holds the embeddings and nothing that an edit touches."""
    with without_bars():
        model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.bfloat16)
        model.save_pretrained(place / "SmolLM2", max_shard_size="57MB")
    for path in smollm2.iterdir():
        if path.suffix != ".safetensors" and not (place / "SmolLM2" / path.name).exists():
            shutil.copy(path, place / "SmolLM2")
    return place / "SmolLM2"


@pytest.fixture(scope="module")
def tuned(place: Path, base: Path) -> Path:
    """The base after some real steps of training, in one shard, with a card that says where it comes from."""
    with without_bars():
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(base)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for sentence in SENTENCES:
        ids = tokenizer(sentence, return_tensors="pt").input_ids
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    with without_bars():
        model.to(torch.bfloat16).save_pretrained(place / "tuned")
    tokenizer.save_pretrained(place / "tuned")
    card = f"---\nlicense: apache-2.0\nbase_model: {BASE}\n---\n\n# Tuned\n\nA little more of English.\n"
    (place / "tuned" / "README.md").write_text(card, "utf-8")
    return place / "tuned"


@pytest.fixture(scope="module")
def world(place: Path, base: Path, tuned: Path) -> Iterator[World]:
    (place / "desk").mkdir()
    with server.LocalHub(place / "hub", copies=True) as hub:
        for name, token in TOKENS.items():
            hub.add_user(name, token)
        hub.put(BASE, base)
        hub.put(TUNED, tuned)
        yield World(hub, place / "desk")
        assert not hub.leaks


@pytest.fixture(scope="module")
def edited(world: World) -> dict[str, Any]:
    """What ``edit --push`` says, with the large bytes that it sent."""
    sizes = ("--p", "1e-2", "--q", "1e-3", "--samples", "1")
    data = world.run("edit", BASE, "--push", "--no-eval", "--dtype", "float32", *sizes)
    return {**data, "put": world.hub.traffic["put"].bytes_in, "copies": world.hub.traffic["copy"].requests}


@pytest.fixture(scope="module")
def delta(world: World, edited: dict[str, Any]) -> Path:
    """The delta's folder, pushed; it is what ``edit --as delta`` would write after scoring all over again."""
    found, record = open_delta(world.folder / edited["output"])
    assert record is not None
    folder = world.folder / "SmolLM2-spin-delta"
    write_delta_folder(Placed(folder, False), None, found, record)
    world.run("push", folder.name)
    return folder


@pytest.fixture(scope="module")
def variant(world: World, delta: Path) -> dict[str, Any]:
    """What ``apply --push`` of the delta on bob's model says, everything by its Hub id."""
    return world.run("apply", DELTA_ALONE, TUNED, "--push")


def front_matter(world: World, repo_id: str) -> dict[str, Any]:
    return yaml.safe_load(world.hub.files(repo_id)["README.md"].decode().split("---\n")[1])


def assert_same_files(folder: Path, expected: Path) -> None:
    """Compares in blocks, since two models at once are a lot of memory."""
    names = sorted(path.relative_to(expected).as_posix() for path in expected.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert [name for name in names if not filecmp.cmp(folder / name, expected / name, shallow=False)] == []


def test_an_edited_model_is_pushed_in_one_commit_and_only_its_changed_shards_travel(world, base, edited):
    assert (edited["repo_id"], edited["commit"]) == (EDITED, world.hub.sha(EDITED))
    assert edited["base"] == {"repo_id": BASE, "commit": world.hub.sha(BASE)}
    assert edited["weights"] > 100
    assert len(world.hub.commits(EDITED)) == 2, "the repo's own first commit, and one with everything"
    shards = sorted(path.name for path in base.glob("*.safetensors"))
    assert len(shards) > 2
    before, after = world.hub.head(BASE).tree, world.hub.head(EDITED).tree
    assert [name for name in shards if before[name].sha256 == after[name].sha256] == shards[:1]
    assert edited["copies"] == 1
    changed = sum(after[name].size for name in shards[1:])
    assert changed <= edited["put"] <= changed + (1 << 20)
    names = ("base-README.md", "heat-map.png", "spin.json", DELTA)
    assert set(after) - set(before) - {".gitattributes"} == {f"{SPIN}/{name}" for name in names}
    assert front_matter(world, EDITED)["base_model"] == BASE


def test_pushing_the_same_model_again_sends_no_large_bytes(world, edited):
    again = world.run("push", edited["output"])
    assert again["commit"] == edited["commit"] == world.hub.sha(EDITED)
    assert world.hub.traffic["put"].bytes_in == 0
    assert again["uploaded"] == 0


def test_the_delta_alone_is_a_small_repo_of_its_own(world, edited, delta):
    files = world.hub.files(DELTA_ALONE)
    assert files[DELTA] == world.hub.files(EDITED)[f"{SPIN}/{DELTA}"]
    assert files.keys() - {".gitattributes"} == {"README.md", DELTA, "heat-map.png", "spin.json"}
    assert sum(map(len, files.values())) < 400_000
    card = front_matter(world, DELTA_ALONE)
    assert (card["base_model"], card["base_model_relation"]) == (BASE, "adapter")


def test_the_delta_alone_gives_back_the_very_model_that_was_edited(world, edited, delta):
    made = world.run("apply", DELTA_ALONE, BASE, "-o", "made", who=None)
    assert made["fit"]["equal"] == edited["weights"]
    assert_same_files(world.folder / "made" / SPIN, world.folder / edited["output"] / SPIN)
    for shard in (world.folder / edited["output"]).glob("*.safetensors"):
        assert filecmp.cmp(world.folder / "made" / shard.name, shard, shallow=False)
    shutil.rmtree(world.folder / "made")


def test_a_plan_says_how_the_delta_fits_a_fine_tune_and_writes_nothing(world, edited, delta):
    before = sorted(world.folder.iterdir())
    plan = world.run("apply", DELTA_ALONE, TUNED, "--plan", who="bob")
    fit = plan["fit"]
    assert fit["tensors"]["found"] == fit["tensors"]["expected"] == edited["tensors"]
    assert fit["weights"] == edited["weights"]
    assert len(fit["matrices"]) == edited["tensors"]
    # Real training has moved a part of the touched weights, and none of them far.
    assert 0 < fit["changed"] < fit["weights"]
    assert 0 <= fit["drift"] < 0.1
    assert plan["output"] is None
    assert sorted(world.folder.iterdir()) == before


def test_a_fine_tune_gets_the_delta_of_its_base_by_hub_id(world, edited, variant):
    assert (variant["repo_id"], variant["commit"]) == (EDITED_TUNED, world.hub.sha(EDITED_TUNED))
    assert variant["base"] == {"repo_id": TUNED, "commit": world.hub.sha(TUNED)}
    assert variant["weights"] == edited["weights"]
    assert front_matter(world, EDITED_TUNED)["base_model"] == TUNED
    record = json.loads(world.hub.files(EDITED_TUNED)["spin/spin.json"])
    assert record["applied"]["base"]["repo_id"] == BASE
    assert record["applied"]["lineage"]["linked"] is True
    delta = record["applied"]["delta"]
    assert (delta["repo_id"], delta["commit"]) == (DELTA_ALONE, world.hub.sha(DELTA_ALONE))
    again = f"spin-hub apply {DELTA_ALONE}@{delta['commit']} {TUNED}@{world.hub.sha(TUNED)}"
    assert again in world.hub.files(EDITED_TUNED)["README.md"].decode()
    assert record["recipe"]["model"]["repo_id"] == TUNED


def test_anybody_loads_both_models_with_transformers_straight_from_the_hub(world, base, tuned, edited, variant):
    task = [
        (data["repo_id"], str(original), str(world.folder / data["output"] / SPIN / DELTA))
        for data, original in ((edited, base), (variant, tuned))
    ]
    world.hub.reset_traffic()
    found = json.loads(world.anybody(LOADER, json.dumps(task)))
    assert world.hub.traffic["resolve"].bytes_out > 2 * 250_000_000
    assert found.keys() == {EDITED, EDITED_TUNED}
    for counts in found.values():
        assert counts["zero"] == edited["weights"]
        assert counts["kept"] > 100_000_000


def test_everything_is_found_by_list_and_shown_by_inspect(world, edited, variant):
    def listed(*options: str) -> set[tuple[str, str]]:
        return {(entry["repo_id"], entry["base"]) for entry in world.run("list", *options, who=None)["edits"]}

    of_base = {(EDITED, BASE), (DELTA_ALONE, BASE)}
    assert listed("--base", BASE) == of_base
    assert listed("--base", TUNED) == {(EDITED_TUNED, TUNED)}
    assert listed("--author", "alice") == of_base | {(EDITED_TUNED, TUNED)}
    for repo_id in (EDITED, DELTA_ALONE, EDITED_TUNED):
        assert world.run("inspect", repo_id, who=None)["weights"] == edited["weights"]
        assert world.hub.traffic["resolve"].bytes_out < 400_000


def test_revert_gives_back_the_base_and_the_fine_tune_byte_for_byte(world, base, tuned, edited, variant):
    for repo_id, data, expected in ((EDITED, edited, base), (EDITED_TUNED, variant, tuned)):
        done = world.run("revert", repo_id, "-o", "back", who=None)
        assert done["files"] == len(list(expected.iterdir()))
        assert done["weights"] == data["weights"]
        assert_same_files(world.folder / "back", expected)
        shutil.rmtree(world.folder / "back")
    originals = [read_delta(world.folder / data["output"] / SPIN / DELTA) for data in (edited, variant)]
    assert originals[0].selection == originals[1].selection
    assert any(
        originals[0].edits[name].original.tobytes() != edit.original.tobytes()
        for name, edit in originals[1].edits.items()
    )


def test_nothing_of_it_holds_a_token(world, edited, variant):
    for path in world.folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 20:
            assert not any(token.encode() in path.read_bytes() for token in TOKENS.values()), path
