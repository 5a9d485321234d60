"""sweep and eval as people and programs meet them."""

import json

import pytest

from spin_hub.cli.sweep import _shifts
from spin_hub.workflows import sweep as workflow

pytestmark = [pytest.mark.moderate, pytest.mark.usefixtures("few_texts")]

GRID = ["--p", "5e-2", "--q", "5e-2", "--q", "1e-1", "--q", "1e-6"]
SWEEP = ["--samples", "2", *GRID, "--keep", "1e-1", "--max-kl", "9", "--max-perplexity-ratio", "9"]


def test_a_sweep_is_a_table_a_plot_and_a_study(cli, sharded, tmp_path):
    code, out, _ = cli("sweep", sharded, *SWEEP)
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["row", "p", "q", "weights", "KL", "ppl", "x", "shift", "from", "to"]
    assert lines[3].rstrip().endswith("nothing")
    assert {path.name for path in (tmp_path / "sharded-sweep").iterdir()} == {
        "study.json", "sweep.png", "spin_ranking.safetensors",
    }  # fmt: skip
    code, out, err = cli("sweep", sharded, *SWEEP, "--json")
    data = json.loads(out)
    assert (code, len(data["rows"]), data["picked"]) == (0, 3, None)
    assert "holds this very ranking already" in err


def test_what_is_picked_is_a_delta_to_apply(cli, sharded):
    code, out, err = cli("sweep", sharded, *SWEEP, "--pick", "2", "--quiet")
    assert (code, out, err) == (0, "sharded-sweep/delta\n", "")
    code, out, _ = cli("apply", "sharded-sweep/delta", sharded, "-o", "made", "--json")
    assert (code, json.loads(out)["weights"] > 0) == (0, True)


@pytest.mark.parametrize(
    ("options", "code", "kind"),
    [
        (("--p", "1e-2"), 2, "UsageError"),
        ((*SWEEP, "--rule", "other"), 2, "UsageError"),
        ((*SWEEP, "--layers", "x"), 2, "UsageError"),
        ((*SWEEP, "--pick", "9"), 2, "UsageError"),
        ((*SWEEP, "--max-kl", "0"), 2, "UsageError"),
        (("--samples", "2", "--p", "2", "--q", "1e-2", "--keep", "1e-1"), 2, "RatioOutOfRange"),
        (("--samples", "2", "--p", "3e-1", "--q", "1e-2", "--keep", "1e-1"), 1, "RatioBeyondRanking"),
    ],
)
def test_bad_sweeps(cli, sharded, options, code, kind):
    found, out, _ = cli("sweep", sharded, *options, "--json")
    assert (found, json.loads(out)["error"]["type"]) == (code, kind)


def test_eval_shows_states_pairs_and_phrases_within_80_columns(cli, sharded):
    assert cli("edit", sharded, "--p", "5e-2", "--q", "1e-1", "--samples", "2", "--quiet")[0] == 0
    code, out, _ = cli("eval", "sharded-spin", "--suite", "full", "--limit", "3", "--new-tokens", "2")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    for word in ("base", "edited", "control", "gained", "lexical", "Written into the record"):
        assert word in out
    code, out, _ = cli("eval", "sharded-spin", "--json", "--no-record")
    assert json.loads(out)["output"] is None
    assert cli("eval", "sharded-spin", "--suite", "none", "--json")[0] == 2


def test_an_edit_finds_its_ratios_or_says_why_not(cli, sharded, tmp_path):
    code, out, err = cli("edit", sharded, "--samples", "2", "--json")
    data = json.loads(out)
    if code:
        assert data["error"]["type"] == "NothingGained"
        assert "--yes" in data["error"]["hint"]
        assert not (tmp_path / "sharded-spin").exists()
        code, out, err = cli("edit", sharded, "--samples", "2", "--yes", "--json")
    assert "Of " in err
    assert json.loads((tmp_path / "sharded-spin" / "spin" / "spin.json").read_text())["search"]["picked"]


@pytest.mark.parametrize("options", [("--p", "1e-2"), ("--q", "1e-2"), ("--no-eval",)])
def test_half_a_choice_is_refused(cli, sharded, options):
    code, out, _ = cli("edit", sharded, "--samples", "2", *options, "--json")
    assert (code, json.loads(out)["error"]["type"]) == (2, "UsageError")


@pytest.mark.parametrize(
    ("values", "shown", "unit"),
    [
        ([0.25, -0.1, 0.0], ["+0.250", "-0.100", "+0.000"], ""),
        ([0.25, 0.25001], ["+0.25000", "+0.25001"], ""),
        ([1.25e-5, -3e-6], ["+12.5", "-3.0"], "1e-6 "),
        ([4e-4, 4.001e-4], ["+400.0", "+400.1"], "1e-6 "),
        ([0.0], ["+0.000"], ""),
        ([], [], ""),
    ],
)
def test_shifts_have_the_digits_of_their_differences(values, shown, unit):
    show, found = _shifts(values)
    assert ([show(value) for value in values], found) == (shown, unit)


def test_a_smaller_grid_keeps_the_points_of_the_larger_one_in_the_plot(cli, sharded, monkeypatch):
    drawn = []

    def draw(rows, *others):
        drawn.append([label for label, *_ in rows])
        others[-1].touch()

    monkeypatch.setattr(workflow, "pareto_plot", draw)
    assert cli("sweep", sharded, *SWEEP)[0] == 0
    grid = ["--p", "5e-2", "--q", "1e-1"]
    code, out, _ = cli("sweep", sharded, "--samples", "2", *grid, *SWEEP[-6:], "--json")
    assert (code, len(json.loads(out)["rows"])) == (0, 1)
    assert drawn == [["1", "2"], ["1", ""]]
