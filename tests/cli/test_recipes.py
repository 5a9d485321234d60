"""Plans, recipe files and presets, as a person gives them."""

import json
from pathlib import Path

import pytest

RATIOS = ("--p", "1e-2", "--q", "1e-1", "--samples", "3")


def test_a_plan_says_what_it_would_take_and_writes_nothing(cli, tiny, own_folder):
    code, out, _ = cli("edit", tiny, *RATIOS, "--plan", "--json")
    plan = json.loads(out)
    assert code == 0
    assert plan["matrices"] == [
        {"shape": [32, 64], "matrices": 4, "counts": {"fairness": 204, "privacy": 204, "general": 20}},
        {"shape": [64, 32], "matrices": 8, "counts": {"fairness": 204, "privacy": 204, "general": 20}},
    ]
    assert [entry["examples"] for entry in plan["sets"]] == [3, 3, 3]
    assert plan["memory"]["sums"] == 4 * 3 * 2048
    whole = json.loads(cli("edit", tiny, *RATIOS, "--plan", "--json", "--engine", "whole")[1])
    assert whole["memory"]["sums"] == 4 * 12 * 2048
    assert plan["seconds"] > 0
    assert plan["reading"] > 0
    assert json.loads(cli("edit", tiny, *RATIOS, "--plan", "--json", "--no-eval")[1])["reading"] == 0
    assert plan["output"] == "tiny-spin"
    assert max(map(len, cli("edit", tiny, *RATIOS, "--plan")[1].splitlines())) <= 80
    assert not list(own_folder.iterdir())


def test_a_recipe_file_holds_options_and_flags_win(cli, tiny, own_folder):
    (own_folder / "mine.toml").write_text(
        'p = 1e-2\nq = 5e-2\nsamples = 3\nselect = "(fairness & privacy) - general"\nno-eval = true\n'
        'output = "from-file"\n[ratio]\ngeneral = 2e-2\n'
    )
    code, out, _ = cli("edit", tiny, "--recipe", "mine.toml", "--q", "1e-1", "--json")
    assert code == 0
    data = json.loads(out)
    assert (data["output"], data["evaluation"]) == ("from-file", None)
    record = json.loads((own_folder / "from-file" / "spin" / "spin.json").read_text())
    assert record["recipe"]["method"]["ratios"] == {"fairness": 0.1, "general": 0.02, "privacy": 0.1}


def test_the_record_of_an_edit_is_a_recipe_for_the_same_edit(cli, tiny, own_folder):
    assert cli("edit", tiny, *RATIOS, "--seed", "5", "--no-eval", "--quiet")[0] == 0
    again = ("edit", tiny, "--recipe", "tiny-spin/spin/spin.json", "--no-eval", "-o", "again", "--quiet")
    assert cli(*again)[0] == 0
    for name in ("spin/spin_delta.safetensors", "spin/spin.json", "README.md"):
        assert (own_folder / "again" / name).read_bytes() == (own_folder / "tiny-spin" / name).read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p = ", "not valid TOML"),
        ("speed = 3", "unknown key 'speed'"),
        ('p = "much"', "not a float or int"),
        ("samples = true", "not a int"),
        ("p = 2.0", "strictly between 0 and 1"),
        ('rule = "published"\np = 1e-2\nq = 1e-3', "p = q"),
        ('preset = "mine"', "preset must be one of"),
        ('as = "gguf"', "--as must be"),
    ],
)
def test_a_wrong_recipe_file_is_exit_2(cli, tiny, own_folder, text, said):
    (own_folder / "mine.toml").write_text(text)
    code, out, _ = cli("edit", tiny, "--recipe", "mine.toml", "--json")
    assert code == 2
    assert said in json.loads(out)["error"]["message"]
    assert [path.name for path in own_folder.iterdir()] == ["mine.toml"]


def test_a_recipe_file_that_is_not_there(cli, tiny):
    assert cli("edit", tiny, "--recipe", "nowhere.toml")[0] == 2


def test_evidence_stands_in_terminal_json_record_and_card(cli, tiny, own_folder):
    code, out, _ = cli("edit", tiny, *RATIOS)
    assert code == 0
    assert "measured" in out and "control" in out and "perplexity" in out
    assert max(map(len, out.splitlines())) <= 80
    record = json.loads((own_folder / "tiny-spin" / "spin" / "spin.json").read_text())
    names = [(metric["name"], metric["axis"]) for metric in record["evaluation"]["metrics"]]
    answers = [(name, axis) for axis in ("fairness", "privacy") for name in ("preference", "gain")]
    assert names == [("kl", None), ("perplexity", None), *answers]
    card = (own_folder / "tiny-spin" / "README.md").read_text()
    assert "KL to the base" in card and "| control |" in card


def test_an_edit_beyond_its_limits_ends_with_a_warning(cli, tiny, own_folder):
    code, out, err = cli("edit", tiny, *RATIOS, "--max-kl", "1e-12")
    assert code == 0
    assert err.rstrip().splitlines()[-2].startswith("WARNING:") or "WARNING:" in err.rstrip()[-200:]
    assert "--max-kl" in err
    code, out, _ = cli("edit", tiny, *RATIOS, "--max-kl", "1e-12", "--overwrite", "--json")
    assert "KL" in json.loads(out)["warnings"][0]
    assert cli("edit", tiny, *RATIOS, "--max-kl", "0")[0] == 2


def test_terms_that_are_not_known_are_said(cli, tiny, own_folder):
    (own_folder / "mine.csv").write_text("prompt,response\n" + "hello,there\n" * 4)
    code, _, err = cli("edit", tiny, *RATIOS, "--privacy", "mine.csv", "--no-eval")
    assert code == 0
    assert "The terms of mine.csv (privacy) are unknown" in err.replace("\n", " ")
    assert "terms of mine.csv" in (own_folder / "tiny-spin" / "README.md").read_text()


def test_inspect_draws_what_an_artefact_holds(cli, tiny, own_folder):
    assert cli("edit", tiny, *RATIOS, "--quiet")[0] == 0
    assert cli("inspect", "tiny-spin", "--png", "plots", "--quiet")[0] == 0
    assert {path.name for path in (own_folder / "plots").iterdir()} == {"heat-map.png", "evidence.png"}
    assert cli("score", tiny, "--samples", "2", "--keep", "1e-1", "-o", "r.safetensors", "--quiet")[0] == 0
    code, out, _ = cli("inspect", "r.safetensors", "--png", "curves")
    assert code == 0
    assert "overlap.png" in out
    for path in (own_folder / "curves").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_recipe_nested_without_end_is_wrong(cli, tiny, own_folder):
    (own_folder / "recipe.toml").write_text("p = " + "[" * 100_000, "utf-8")
    code, out, _ = cli("edit", tiny, "--recipe", "recipe.toml", "--plan", "--json")
    assert (code, json.loads(out)["error"]["type"]) == (2, "UsageError")


@pytest.mark.parametrize("layers", ["2", '"2"', '"2-2"'])
def test_a_recipe_file_may_name_a_part_of_the_model(cli, tiny, own_folder, layers):
    text = f'p = 1e-2\nq = 1e-1\nsamples = 3\nno-eval = true\npart = "*.up_proj.weight"\nlayers = {layers}\n'
    (own_folder / "mine.toml").write_text(text)
    code, _, _ = cli("edit", tiny, "--recipe", "mine.toml", "--as", "delta", "-o", "part", "--json")
    assert code == 0
    record = json.loads((own_folder / "part" / "spin.json").read_text())
    assert list(record["result"]["counts"]) == ["model.layers.2.mlp.up_proj.weight"]
    assert cli("edit", tiny, "--recipe", "mine.toml", "--layers", "9")[0] == 2
    (own_folder / "mine.toml").write_text(text.replace(f"layers = {layers}", "layers = true"))
    assert cli("edit", tiny, "--recipe", "mine.toml")[0] == 2


def test_scores_that_a_refused_edit_leaves_are_named_and_used(cli, tiny):
    few = ("--samples", "3", "--q", "1e-1", "--no-eval")
    code, _, err = cli("edit", tiny, *few, "--select", "fairness - fairness")
    assert code == 1
    assert "tiny-spin.partial keeps the scores for a run with other ratios" in " ".join(err.split())
    assert cli("edit", tiny, *few, "--select", "fairness")[0] == 0
    assert not Path("tiny-spin.partial").exists()
