"""Plots: valid, small and equal files for every input, and nothing of the process changed by them."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from spin_hub.core.names import Table, by_layer
from spin_hub.core.ranking import RankedTensor, Ranking, TopWeights
from spin_hub.core.stats import Estimate
from spin_hub.model_cards.canvas import log_figures, plain
from spin_hub.model_cards.curves import importance_by_rank, importance_curves, overlap_curves, overlaps
from spin_hub.model_cards.heat_map import SCALE, columns_of, heat_map, rows_of
from spin_hub.model_cards.plots import evidence_plot, frequency_plot, pareto_plot

MATRICES = ("mlp.down_proj", "mlp.gate_proj", "mlp.up_proj")
HOSTILE = ("$x$", r"$\frac{$", "_hidden", "a\nb\0c", "名前", "n" * 5000, "", "$x$ " * 400)


def png_size(path, most=100_000) -> tuple[int, int]:
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data[12:16] == b"IHDR"
    assert 2_000 < len(data) < most
    with Image.open(path) as image:
        image.load()
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def table(layers, matrices=MATRICES) -> Table:
    counts = {f"model.layers.{layer}.{matrix}.weight": (7 * layer) % 50 for layer in layers for matrix in matrices}
    return by_layer(counts)


def ranking(*sets, size=(40, 50), keep=0.1) -> Ranking:
    rng = np.random.default_rng(0)
    count = int(keep * size[0] * size[1])

    def top() -> TopWeights:
        indices = rng.permutation(size[0] * size[1])[:count].astype(np.int64)
        importance = np.sort(rng.random(count).astype(np.float32))[::-1]
        return TopWeights(indices, importance, np.zeros((count, 2), np.uint8))

    return Ranking({f"m.{n}.up": RankedTensor(size, "BF16", {name: top() for name in sets}) for n in range(4)}, keep)


def metric(label="KL to the base", axis=None, unit="nats per token", **values) -> dict:
    entries = {state: {"value": v, "low": v * 0.9, "high": v * 1.1, "n": 128} for state, v in values.items()}
    return {"name": "kl", "label": label, "axis": axis, "unit": unit, "better": "lower", "values": entries}


def evidence(*metrics, states=("base", "edited", "control")) -> dict:
    return {"states": list(states), "metrics": list(metrics)}


EVIDENCE = evidence(metric(edited=0.04, control=0.003), metric("Preference", "privacy", base=0.5, edited=0.7))
CURVES = {"fairness": (np.geomspace(1e-6, 1, 50), np.geomspace(1, 1e-9, 50))}
DRAWN = {
    "heat map": lambda path: heat_map(table(range(30)), "Weights set to zero", path),
    "importance": lambda path: importance_curves(CURVES, {"p": 5e-7, "q": 5e-7}, "Importance", path),
    "overlap": lambda path: overlap_curves(ranking("a", "b", "c"), {"p": 1e-2, "q": 1e-3}, "Overlap", path),
    "evidence": lambda path: evidence_plot(EVIDENCE, path),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_is_a_small_png_and_equal_plots_are_equal_files(name, tmp_path):
    DRAWN[name](tmp_path / "a.png")
    DRAWN[name](tmp_path / "b.png")
    width, height = png_size(tmp_path / "a.png")
    assert 600 < width < 2000
    assert 300 < height < 2000
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("name", ["heat map", "overlap"])
def test_a_users_own_style_changes_no_plot_and_is_set_back(name, tmp_path):
    import matplotlib

    DRAWN[name](tmp_path / "plain.png")
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 20, "text.parse_math": True}):
        before = dict(matplotlib.rcParams)
        DRAWN[name](tmp_path / "styled.png")
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


def test_plots_touch_neither_pyplot_nor_a_display_and_importing_them_is_cheap(tmp_path):
    code = f"""
import sys
from spin_hub.core.names import Table
from spin_hub.model_cards import curves, heat_map, plots
assert "matplotlib" not in sys.modules and "PIL" not in sys.modules
heat_map.heat_map(Table(("up",), (("0", (3,)),)), "t", {str(tmp_path / "a.png")!r})
plots.evidence_plot({EVIDENCE!r}, {str(tmp_path / "b.png")!r})
assert "matplotlib.pyplot" not in sys.modules and "tkinter" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    png_size(tmp_path / "a.png")


@pytest.mark.parametrize(
    "case",
    [
        table([0], ["mlp.up_proj"]),
        table(range(4)),
        table(range(48)),
        table(range(128), [f"{block}.{part}_proj" for block in ("mlp", "self_attn") for part in "abcd"]),
        table(range(2000), ["up"]),
        table([3, 999_999_999]),
        table(range(4), [f"mlp.experts.{expert}.{part}" for expert in range(64) for part in ("up", "down")]),
        table(range(4), [f"part{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]),
        by_layer({"lm_head.weight": 3, "model.layers.1.mlp.up_proj.weight": 12_345_678}),
        Table(("up", "down"), (("0", (0, 0)), ("1", (0, 0)))),
        Table((), ()),
        Table(HOSTILE, tuple((str(row), tuple(range(len(HOSTILE)))) for row in range(3))),
    ],
    ids=lambda case: f"{len(case.rows)}x{len(case.columns)}",
)
def test_a_heat_map_of_any_table(case, tmp_path):
    heat_map(case, "Weights set to zero", tmp_path / "a.png")
    png_size(tmp_path / "a.png")


def test_layers_without_an_edit_have_a_row():
    labels, cells = rows_of(Table(("up",), (("1", (5,)), ("4", (2,)), ("-", (1,)))))
    assert labels == ["0", "1", "2", "3", "4", "-"]
    assert cells.ravel().tolist() == [0, 5, 0, 0, 2, 1]


def test_experts_share_a_column_and_no_count_is_lost():
    wide = table(range(3), [f"mlp.experts.{expert}.{part}" for expert in range(64) for part in ("down", "up")])
    names, counts = columns_of(wide.columns, rows_of(wide)[1])
    assert names == ["mlp.experts.*.down", "mlp.experts.*.up"]
    many = table(range(3), [f"part{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"])
    others, rest = columns_of(many.columns, rows_of(many)[1])
    assert others[-1] == "11 others"
    assert (counts.sum(), rest.sum()) == (sum(wide.totals), sum(many.totals))


def test_the_colour_scale_only_gets_darker_in_equal_steps():
    light = []
    for colour in SCALE:
        linear = [((int(colour[n : n + 2], 16) / 255 + 0.055) / 1.055) ** 2.4 for n in (1, 3, 5)]
        light.append(116 * np.cbrt(np.dot(linear, [0.2126, 0.7152, 0.0722])) - 16)
    assert light[0] > 94
    assert np.all(np.abs(np.diff(light) + 9.4) < 1)


def test_strangers_names_are_drawn_as_they_are(tmp_path):
    title = " ".join(HOSTILE)
    importance_curves(dict.fromkeys(HOSTILE, CURVES["fairness"]), {"_$p$": 1e-3, HOSTILE[4]: 1e-2, HOSTILE[5]: 1e-3},
                      title, tmp_path / "importance.png")  # fmt: skip
    overlap_curves(ranking(*HOSTILE[:4]), {}, title, tmp_path / "overlap.png")
    metrics = [metric(name, name, name, **{name: 1.0}) for name in HOSTILE]
    evidence_plot(evidence(*metrics, states=HOSTILE), tmp_path / "evidence.png")
    for path in tmp_path.iterdir():
        assert max(png_size(path, most=200_000)) < 3500


def test_text_is_one_short_line_that_the_font_can_draw():
    assert plain("mlp.up_proj") == "mlp.up_proj"
    assert plain(" $x_1$\n名 ") == "$x_1$ □"
    assert plain("a" * 50 + "b" * 50, 9) == "aaaa…bbbb"


def test_values_that_no_logarithm_takes_are_left_out(tmp_path):
    x = np.array([0.0, 1e-3, 1e-2, 1e-1])
    curves = {"zero": (x, np.zeros(4)), "some": (x, np.array([1.0, np.nan, 0.5, -1.0])), "none": (x[:0], x[:0])}
    importance_curves(curves, {"p": 0.0, "q": 1e-3}, "Importance", tmp_path / "a.png")
    importance_curves({}, {}, "Nothing", tmp_path / "b.png")
    png_size(tmp_path / "a.png")


def test_overlaps_are_those_of_the_top_sets():
    ranked = ranking("a", "b", "c")
    found = overlaps(ranked)
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]
    ratios, shares = found["a", "b"]
    for ratio, share in list(zip(ratios, shares, strict=True))[::10]:
        mine, other = ranked.top("a", ratio), ranked.top("b", ratio)
        assert share == (mine & other).weights / max(mine.weights, 1)
    three = ranked.top("a", 0.1) & ranked.top("b", 0.1) & ranked.top("c", 0.1)
    assert found["a", "b", "c"][1][-1] == three.weights / ranked.top("a", 0.1).weights


def test_importance_by_rank_falls_from_the_best_weight_to_the_last_kept():
    ranked = ranking("a", "b")
    shares, importance = importance_by_rank(ranked)["a"]
    tops = [tensor.tops["a"].importance for tensor in ranked.tensors.values()]
    assert shares[[0, -1]] == pytest.approx([1 / 2000, 0.1])
    assert np.all(np.diff(importance) <= 0)
    assert importance[0] == pytest.approx(np.median([top[0] for top in tops]))
    assert importance[-1] == pytest.approx(np.median([top[-1] for top in tops]))


@pytest.mark.parametrize("sets", [("only",), ("a", "b"), tuple("abcdef")])
def test_a_ranking_of_any_number_of_sets(sets, tmp_path):
    overlap_curves(ranking(*sets), {"q": 1e-2}, "Overlap", tmp_path / "a.png")
    importance_curves(importance_by_rank(ranking(*sets)), {"q": 1e-2}, "Importance", tmp_path / "b.png")
    png_size(tmp_path / "a.png")


def test_a_ranking_that_kept_nothing(tmp_path):
    empty = ranking("a", "b", size=(2, 2), keep=0.01)
    overlap_curves(empty, {}, "Overlap", tmp_path / "a.png")
    importance_curves(importance_by_rank(empty), {}, "Importance", tmp_path / "b.png")
    none = Ranking({}, 0.01)
    overlap_curves(none, {}, "Overlap", tmp_path / "c.png")
    importance_curves(importance_by_rank(none), {}, "Importance", tmp_path / "d.png")


@pytest.mark.parametrize(
    "case",
    [
        evidence(),
        evidence(metric()),
        evidence(metric(base=0.0, edited=0.0, control=0.0)),
        evidence(metric(base=20.0, edited=20.5, control=1e9)),
        evidence(metric(base=float("inf"), edited=float("nan"), control=1e300)),
        evidence({**metric(), "values": {"edited": {"value": 1, "low": None, "high": None, "n": 3}, "base": None}}),
        evidence({**metric(base=1.0), "unit": None, "better": None}),
        evidence(*[metric(base=1.0, edited=2.0)] * 5),
        evidence(*[metric(base=1.0)] * 500, states=[f"state {number}" for number in range(300)]),
        evidence(states=[]),
    ],
    ids=range(10),
)
def test_evidence_of_any_kind(case, tmp_path):
    evidence_plot(case, tmp_path / "a.png")
    assert max(png_size(tmp_path / "a.png", most=250_000)) < 6000


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"phrase": "I cannot", "before": 0.0, "after": 0.0}],
        [{"phrase": name, "before": 1.0, "after": number} for number, name in enumerate(HOSTILE * 5)],
    ],
    ids=len,
)
def test_phrases_of_any_kind(rows, tmp_path):
    frequency_plot(rows, "Cautionary phrases", tmp_path / "a.png")
    frequency_plot(rows, "Cautionary phrases", tmp_path / "b.png")
    assert max(png_size(tmp_path / "a.png")) < 2000
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_sweep_of_any_size(tmp_path):
    rows = [(str(row), Estimate(10.0**-row, None, None, 3), Estimate(row / 9, 0.0, 1.0, 3)) for row in range(7)]
    for drawn, front, marked in ((rows, ["6", "3", "0"], {"best": "3"}), (rows[:1], ["0"], {}), ([], [], {})):
        pareto_plot(drawn, front, marked, 0.05, "$Edits_1$", tmp_path / "a.png")
        png_size(tmp_path / "a.png")


def test_a_state_has_the_same_colour_in_every_plot(tmp_path):
    for name, states in (("a", ["base", "edited", "control"]), ("b", ["edited", "other"])):
        evidence_plot(evidence(metric(edited=0.5), states=states), tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as image:
            near = np.abs(np.asarray(image.convert("RGB"), int) - [0x00, 0x72, 0xB2]).max(axis=-1) < 4
        assert near.sum() > 100


@pytest.mark.parametrize(("low", "high"), [(2e-4, 8e-4), (1e-4, 3e-3), (1e-9, 1e3)])
def test_figures_of_a_logarithmic_axis_are_plain_digits(low, high):
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.add_subplot()
    axes.set(xscale="log", xlim=(low, high))
    log_figures(axes.xaxis)
    figure.canvas.draw()
    texts = [label.get_text() for which in ("major", "minor") for label in axes.xaxis.get_ticklabels(which=which)]
    shown = [float(text) for text in texts if text]
    assert len(shown) >= 2
    assert any(low <= number <= high for number in shown)
