"""combine and diff: folders of deltas, their records and cards, the command line, and what is refused."""

import json

import numpy as np
import pytest
import verbs
from deltas_of import DOWN, UP, delta_of

import spin_hub
from spin_hub.artifacts.delta_file import write_delta
from spin_hub.core.delta import BaseRef, Delta
from spin_hub.errors import BasesDiffer, EmptySelection, OutputExists
from spin_hub.recipe import Destination, ScoringRecipe, SelectionRecipe
from spin_hub.workflows.edit import EditRequest


@pytest.fixture
def pair(tiny, tmp_path):
    """Two bare delta files that share one weight of five and one of three."""
    for name, positions in {"a": {UP: [3, 70, 2000], DOWN: [0, 9]}, "b": {UP: [70, 71, 72]}}.items():
        write_delta(tmp_path / f"{name}.safetensors", delta_of(tiny, positions))
    return str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("and", {UP: [70]}),
        ("or", {UP: [3, 70, 71, 72, 2000], DOWN: [0, 9]}),
        ("sub", {UP: [3, 2000], DOWN: [0, 9]}),
    ],
)
def test_combine_writes_a_delta_that_is_applied_and_reverted(tiny, pair, tmp_path, how, expected):
    outcome = spin_hub.combine(*pair, how, output=tmp_path / "c")
    found = spin_hub.load_delta(tmp_path / "c")
    assert {name: array.tolist() for name, array in found.selection} == dict(sorted(expected.items()))
    assert {path.name for path in outcome.output.iterdir()} == {
        "README.md", "heat-map.png", "spin.json", "spin_delta.safetensors",
    }  # fmt: skip
    verbs.apply(tmp_path / "c", str(tiny), Destination(tmp_path / "model"))
    spin_hub.revert(tmp_path / "model", output=tmp_path / "back")
    assert (tmp_path / "back" / "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()
    assert "two other deltas" in (tmp_path / "model" / "README.md").read_text()


def test_the_card_names_both_deltas_with_their_sets_and_claims_nothing(sharded, tmp_path):
    scoring = ScoringRecipe(samples=3)
    for name, q in {"a": 1e-1, "b": 5e-2}.items():
        selection = SelectionRecipe(p=1e-2, q=q)
        spin_hub.edit(EditRequest(str(sharded), scoring, selection, "delta", Destination(tmp_path / name)))
    outcome = spin_hub.combine(tmp_path / "a", tmp_path / "b", "sub", output=tmp_path / "c")
    text = " ".join((tmp_path / "c" / "README.md").read_text().split())
    record = outcome.record
    assert record.evaluation is record.scoring is None
    assert record.model.name == "sharded"
    for name, origin in record.method["deltas"].items():
        assert f"| {name} | - | `{origin['sha256'][:16]}` | paper" in text
        assert [entry["name"] for entry in origin["sets"]] == ["fairness", "privacy", "general"]
        for entry in origin["sets"]:
            assert f"{entry['source']} ({entry['licence']})" in text
    assert "--how sub" in text
    assert "claims no effect" in text
    assert "license: apache-2.0" in text
    assert str(tmp_path) not in text + (tmp_path / "c" / "spin.json").read_text()


def test_the_same_deltas_give_the_same_folder(pair, tmp_path):
    for name in ("one", "two"):
        spin_hub.combine(*pair, "or", output=tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_combined_deltas_are_combined_again(pair, tmp_path):
    spin_hub.combine(*pair, "or", output=tmp_path / "c")
    again = spin_hub.combine(tmp_path / "c", pair[0], "sub", output=tmp_path / "d")
    assert again.record.result.weights == 2
    assert (tmp_path / "d" / "README.md").is_file()


def test_nothing_left_is_an_error_and_nothing_is_written(pair, tmp_path):
    with pytest.raises(EmptySelection, match="'a - b' leaves none"):
        spin_hub.combine(pair[0], pair[0], "sub", output=tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_an_output_that_is_there_is_left_alone(pair, tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mine.txt").write_text("precious")
    with pytest.raises(OutputExists):
        spin_hub.combine(*pair, "or", output=tmp_path / "c")
    assert (tmp_path / "c" / "mine.txt").read_text() == "precious"


def test_deltas_of_other_bases_are_refused(pair, sharded, tiny, tmp_path):
    write_delta(tmp_path / "other.safetensors", delta_of(sharded))
    known = delta_of(tiny)
    write_delta(tmp_path / "unknown.safetensors", Delta(known.edits, BaseRef(), known.method))
    for other in ("other", "unknown"):
        for verb in (spin_hub.diff, lambda a, b: spin_hub.combine(a, b, "or", output=tmp_path / "c")):
            with pytest.raises(BasesDiffer):
                verb(pair[0], tmp_path / f"{other}.safetensors")
    assert not (tmp_path / "c").exists()


def test_diff_gives_figures_by_tensor_and_in_total(pair):
    found = spin_hub.diff(*pair).to_json()
    total = {key: found[key] for key in ("a", "b", "shared", "only_a", "only_b", "jaccard", "expected_by_chance")}
    assert total == {
        "a": 5, "b": 3, "shared": 1, "only_a": 4, "only_b": 2, "jaccard": 1 / 7, "expected_by_chance": 9 / 2048,
    }  # fmt: skip
    assert found["tensors"][DOWN]["only_a"] == 2
    assert found["tensors"][UP]["shared"] == 1


def test_the_command_diff_prints_a_table_that_fits_80_columns(cli, pair):
    code, out, err = cli("diff", *pair)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "layer 0.mlp.up_proj" in out
    assert "only A" in out
    assert "they share 1, 228 times as many" in out
    code, out, _ = cli("diff", *pair, "--json")
    assert (code, out.count("\n"), json.loads(out)["shared"]) == (0, 1, 1)
    assert cli("diff", *pair, "--quiet") == (0, "", "")


def test_a_long_table_is_cut_and_large_counts_fit(cli, tiny, tmp_path):
    many = {f"model.layers.{layer}.mlp.{name}_proj.weight": np.arange(0, 2048, 2) for layer in range(4)
            for name in ("up", "gate", "down")}  # fmt: skip
    write_delta(tmp_path / "a.safetensors", delta_of(tiny, {**many, "lm_head.weight": np.arange(8000)}))
    write_delta(tmp_path / "b.safetensors", delta_of(tiny, {**many, "lm_head.weight": np.arange(4000, 8000)}))
    code, out, _ = cli("diff", tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "1 that differ less" in out


def test_the_command_combine(cli, pair):
    code, out, _ = cli("combine", *pair, "--how", "or", "-o", "c")
    assert code == 0
    assert "combined: a | b" in out
    assert "spin-hub apply c MODEL" in out
    assert cli("combine", *pair, "--how", "and", "-o", "d", "--quiet") == (0, "d\n", "")
    code, out, _ = cli("combine", *pair, "--how", "sub", "-o", "e", "--json")
    assert (code, json.loads(out)["weights"]) == (0, 4)
    code, out, _ = cli("inspect", "c")
    assert (code, "combined: a | b" in out) == (0, True)
    assert cli("card", "c")[0] == 0


@pytest.mark.parametrize("wrong", [(), ("--how", "xor")], ids=["missing", "unknown"])
def test_how_must_be_said(cli, pair, wrong):
    code, out, _ = cli("combine", *pair, *wrong, "--json")
    assert (code, json.loads(out)["error"]["type"]) == (2, "UsageError")
