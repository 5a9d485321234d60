"""Folders as people have them, edited: what is kept is consistent, what is left out is said, and revert undoes it."""

import json
import shutil
from pathlib import Path

import models
import pytest
import torch
from deltas_of import delta_of
from layouts import DOWN, OVERLAY, POINTER, as_transformers_reads, overlay, weight_map, write_map
from safetensors.torch import load_file, save_file

from spin_hub.artifacts.delta_file import write_delta
from spin_hub.core.files import SHARDED, SINGLE
from spin_hub.models.load import NO_ADAPTER

POSITIONS = {DOWN: (0, 5, 77), "model.layers.3.mlp.up_proj.weight": (1, 2000)}
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


def adapted(folder: Path, *names: str, base: str | None = "org/base") -> Path:
    """Puts the files of an adapter into a folder."""
    if "adapter_config.json" in names:
        config = {"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"], "base_model_name_or_path": base}
        (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    if "adapter_model.safetensors" in names:
        shape = load_file(folder / SINGLE)["model.layers.0.self_attn.q_proj.weight"][:4].clone()
        save_file({"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": shape}, folder / names[-1])
    return folder


def single_beside_shards(folder: Path) -> Path:
    save_file(load_file(folder.parent / "other" / SINGLE), folder / SINGLE, metadata={"format": "pt"})
    return folder


def index_alone(folder: Path) -> Path:
    write_map(folder, {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"})
    return folder


def named_wrongly(folder: Path) -> Path:
    entries = weight_map(folder)
    other = next(shard for shard in entries.values() if shard != entries[DOWN])
    write_map(folder, entries | {DOWN: other})
    return folder


def listed_and_not_held(folder: Path) -> Path:
    entries = weight_map(folder)
    write_map(folder, entries | {"lm_head.weight": entries[DOWN]})
    return folder


def held_and_not_listed(folder: Path) -> Path:
    write_map(folder, {name: shard for name, shard in weight_map(folder).items() if name != DOWN})
    return folder


def forgotten_shard(folder: Path) -> Path:
    save_file({DOWN: load_file(folder / weight_map(folder)[DOWN])[DOWN] * 2}, folder / "model-z.safetensors")
    return folder


LAYOUTS = {
    "overlay": ("sharded", overlay, (), f"{DOWN} is in more than one shard"),
    "one file beside shards": ("sharded", single_beside_shards, ("model-0", SHARDED), "read from model.safetensors"),
    "an index beside one file": ("tiny", index_alone, (SHARDED,), f"{SHARDED} is set aside"),
    "a wrong shard named": ("sharded", named_wrongly, (), None),
    "listed and not held": ("sharded", listed_and_not_held, (), "The index lists lm_head.weight, which no shard"),
    "held and not listed": ("sharded", held_and_not_listed, (), None),
    "a forgotten shard": ("sharded", forgotten_shard, ("model-z.safetensors",), "model-z.safetensors is set aside"),
    "an adapter": ("tiny", lambda folder: adapted(folder, *ADAPTER), ADAPTER, "An adapter lies beside the weights"),
    "an adapter without its base": ("tiny", lambda folder: adapted(folder, *ADAPTER, base=None), ADAPTER, "An adapter"),
    "an adapter's config": ("tiny", lambda folder: adapted(folder, ADAPTER[0]), ADAPTER[:1], "An adapter lies beside"),
}


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path):
    """A folder, the beginnings of the names that an edit leaves out, and the note."""
    start, change, left_out, note = LAYOUTS[request.param]
    shutil.copytree(request.getfixturevalue("tiny"), tmp_path / "other")
    folder = change(shutil.copytree(request.getfixturevalue(start), tmp_path / "base"))
    return folder, left_out, note


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_an_edited_copy_is_consistent_and_comes_back_whole(layout, cli):
    base, left_out, note = layout
    write_delta(Path("delta.safetensors"), delta_of(base, POSITIONS))
    code, out, err = cli("apply", "delta.safetensors", base, "-o", "out", "--json")
    assert code == 0, err
    assert json.loads(out)["weights"] == 5
    assert note is None or note in " ".join(err.split())

    before, after = content(base), content(Path("out"))
    aside = {name for name in before if name.startswith(left_out)} if left_out else set()
    assert before.keys() - after.keys() == aside
    recorded = json.loads(Path("out/spin/spin.json").read_text("utf-8"))["recipe"]["model"]
    assert set(recorded["left_out"]) == aside
    assert all(name in Path("out/README.md").read_text("utf-8") for name in aside)

    # transformers reads the base's tensors, but for the zeros; a superseded copy is what it was.
    theirs = as_transformers_reads(base, adapter_kwargs=NO_ADAPTER)
    ours = as_transformers_reads(Path("out"))
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name] != theirs[name]} == POSITIONS.keys()

    code, out, err = cli("verify", "out", "--base", base, "--json")
    assert (code, json.loads(out)["equal"]) == (0, True), out
    assert all(name in out for name in aside)
    assert cli("verify", "out", "--base", base, "--quick")[0] == 0
    assert cli("inspect", "out", "--json")[0] == 0

    code, out, _ = cli("revert", "out", "-o", "back", "--json")
    assert (code, set(json.loads(out)["left_out"])) == (0, aside)
    assert content(Path("back")) == {name: data for name, data in before.items() if name not in aside}


def test_a_superseded_copy_stays_as_it_is(sharded, tmp_path, cli):
    base = overlay(shutil.copytree(sharded, tmp_path / "base"))
    write_delta(Path("delta.safetensors"), delta_of(base, {DOWN: (0, 5, 77)}))
    assert cli("apply", "delta.safetensors", base, "-o", "out")[0] == 0
    before, after = content(base), content(Path("out"))
    assert {name for name in before if before[name] != after[name]} == {OVERLAY, "README.md"}


REFUSED = {
    "no index": ("sharded", lambda f: (f / SHARDED).unlink(), "WeightsIncomplete", f"but {SHARDED} is missing"),
    "a shard is missing": (
        "sharded",
        lambda f: (f / weight_map(f)[DOWN]).unlink(),
        "WeightsIncomplete",
        "1 of the ",
    ),
    "an adapter alone": (
        "tiny",
        lambda f: (adapted(f, *ADAPTER), (f / SINGLE).unlink()),
        "NoSafetensors",
        "holds an adapter of org/base, not a model",
    ),
    **{
        f"a pointer as {name}": (
            "tiny",
            lambda f, name=name: (f / name).write_text(POINTER),
            "LfsPointer",
            f"{name} is a Git LFS pointer",
        )
        for name in (SINGLE, "config.json", "tokenizer.json", "tokenizer_config.json", "README.md")
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_edited_is_one_sentence(case, request, tmp_path, cli):
    start, change, kind, words = REFUSED[case]
    base = shutil.copytree(request.getfixturevalue(start), tmp_path / "base")
    write_delta(Path("delta.safetensors"), delta_of(base, POSITIONS))
    change(base)
    for command in (("apply", "delta.safetensors", base), ("edit", base, "--plan", "--p", "1e-2", "--q", "1e-1")):
        code, out, _ = cli(*command, "-o", "out", "--json")
        error = json.loads(out)["error"]
        assert (code, error["type"]) == (1, kind), error
        assert words in error["message"]
        assert error["hint"]
    assert not Path("out").exists()


def test_an_index_without_metadata_is_patched_and_not_scored_as_transformers_does_not_load_it(sharded, tmp_path, cli):
    base = shutil.copytree(sharded, tmp_path / "base")
    (base / SHARDED).write_text(json.dumps({"weight_map": weight_map(base)}))
    write_delta(Path("delta.safetensors"), delta_of(base, POSITIONS))
    assert cli("apply", "delta.safetensors", base, "-o", "out")[0] == 0
    for command in (("edit", base, "--plan"), ("eval", base, "--suite", "quick")):
        code, out, _ = cli(*command, "--json")
        assert (code, json.loads(out)["error"]["type"]) == (1, "ModelNotLoadable")
        assert "has no metadata" in json.loads(out)["error"]["message"]
    with pytest.raises(KeyError, match="metadata"):
        as_transformers_reads(base)


@pytest.mark.parametrize("name", ["spin_delta.safetensors", "spin.json"])
def test_pointers_among_outputs_are_named(name, tiny, cli):
    write_delta(Path("delta.safetensors"), delta_of(tiny))
    assert cli("apply", "delta.safetensors", tiny, "-o", "out")[0] == 0
    Path("out/spin", name).write_text(POINTER)
    for command in (("inspect", "out"), ("revert", "out", "-o", "back"), ("apply", "out", tiny, "-o", "again")):
        code, out, _ = cli(*command, "--json")
        assert (code, json.loads(out)["error"]["type"]) == (1, "LfsPointer")
    assert cli("verify", "out", "--base", tiny, "--json")[0] != 0
    assert not Path("back").exists()


def test_a_ranking_that_is_a_pointer_is_named(cli):
    Path("spin_ranking.safetensors").write_text(POINTER)
    code, out, _ = cli("select", "spin_ranking.safetensors", "--p", "1e-2", "--q", "1e-1", "-o", "d", "--json")
    assert (code, json.loads(out)["error"]["type"]) == (1, "LfsPointer")


def test_scales_that_the_config_does_not_name_are_a_note_where_bytes_suffice(tmp_path, cli):
    base = models.save_checkpoint(tmp_path / "base")
    tensors = load_file(base / SINGLE)
    tensors[DOWN] = tensors[DOWN].to(torch.float8_e4m3fn)
    save_file({**tensors, f"{DOWN}_scale_inv": torch.ones(1, 1)}, base / SINGLE, metadata={"format": "pt"})
    write_delta(Path("delta.safetensors"), delta_of(base, {DOWN: (0, 5)}))
    code, _, err = cli("apply", "delta.safetensors", base, "-o", "out")
    assert code == 0
    assert f"{DOWN}_scale_inv" in "".join(err.split())
    assert cli("verify", "out", "--base", base)[0] == 0
    for command in (("edit", base, "--plan"), ("edit", base), ("score", base)):
        ratios = ("-o", "x") if command[0] == "score" else ("--p", "1e-2", "--q", "1e-1", "-o", "x")
        code, out, _ = cli(*command, "--samples", "2", *ratios, "--json")
        assert code == 1
        assert "scale" in json.loads(out)["error"]["message"] + json.loads(out)["error"]["hint"]
