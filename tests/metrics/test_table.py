"""The table of metrics: every entry is complete, and one file of another package adds one."""

import dataclasses
import json
import shutil

import pytest

from spin_hub.core.stats import Estimate
from spin_hub.evidence import METRICS, Evidence, reports, unmeasured
from spin_hub.metrics.base import Inputs, Metric, suites
from spin_hub.metrics.request import EvalRequest
from spin_hub.models.load import load_tokenizer
from spin_hub.recipe import Destination, Limits, ScoringRecipe, SelectionRecipe
from spin_hub.workflows.edit import EditRequest, edit
from spin_hub.workflows.evaluate import evaluate
from spin_hub.workflows.plots import draw_evaluation

pytestmark = pytest.mark.usefixtures("few_texts")
TASK = """
task: spin_small
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
doc_to_choice: "{{{{choices}}}}"
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""
LENGTH = """
from spin_hub.core.stats import mean_per_token
from spin_hub.evidence import BASE, Plot, Report
from spin_hub.metrics.base import Measured, Metric


class Norms:
    def __call__(self, model, states, reporter):
        from spin_hub.metrics.states import beside_base, turned

        values = {}
        for name, state in beside_base(states).items():
            with turned(model, state) as found:
                norms = [float(weight.norm()) for weight in found.parameters()]
            values[name] = mean_per_token(norms, [1] * len(norms))
        return Measured((METRIC.of(values),), {"toy_norm": {"tensors": len(norms)}})


def prepare(inputs, names):
    assert names == ["toy_norm"] and inputs.request.suite
    return Norms()


def report(about):
    tensors = about["toy_norm"]["tensors"]
    return Report(f"Norm | <b>: the mean over {tensors} tensors.", facts=[("tensors of the norm", str(tensors))],
                  plots=[Plot("norm.png", "Norms of {name}", lambda title, path: path.write_text(title))])


METRIC = Metric(
    name="toy_norm", label="Norm of a tensor", unit="as the weights", better="lower", needs="logits",
    help="the mean norm of the tensors", prepare=prepare, suites=("quick", "toy_suite"), report=report,
    ability="the tensors' norm",
)
"""


@pytest.fixture(scope="module")
def edited(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("table") / "out"
    recipe = SelectionRecipe(p=5e-2, q=1e-1)
    edit(EditRequest(str(tiny), ScoringRecipe(samples=2), recipe, limits=Limits(), destination=Destination(folder)))
    return folder


@pytest.fixture(scope="module")
def own(edited, tmp_path_factory):
    return shutil.copytree(edited, tmp_path_factory.mktemp("own") / "model")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Options by which every metric is measured quickly and without a network."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "text.txt").write_text("A small text, said again and again. " * 20)
    rows = [{"question": word, "choices": [" one", " two"], "answer": 0} for word in "abc"]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "spin_small.yaml").write_text(TASK.format(data=folder / "rows.jsonl"))
    return {
        "limit": 4, "new_tokens": 2, "text": str(folder / "text.txt"), "window": 32, "tasks": ("spin_small",),
        "task_dir": folder,
    }  # fmt: skip


@pytest.mark.parametrize("name", METRICS)
def test_an_entry_is_complete(name):
    metric = METRICS[name]
    assert metric.name == name and metric.label and metric.unit and metric.better in ("higher", "lower")
    assert metric.help and metric.help[0].islower() and not metric.help.endswith(".")
    assert metric.suites and all(name in suites()[suite] for suite in metric.suites)
    assert metric.of({"base": Estimate(1.0, None, None, 1)}).name == name


def test_suites_follow_from_the_entries():
    found = suites()
    # The paper's own: those of its tables.
    assert {"awareness", "coupling", "wikitext", "capability"} <= set(found["paper"])
    assert {"quick", "answers", "full", "paper"} <= set(found)
    for suite, names in found.items():
        assert list(names) == [name for name in METRICS if suite in METRICS[name].suites]
    # What is measured by default needs no answers, which take long.
    assert {METRICS[name].needs for name in found["quick"]} == {"logits"}


def test_suites_and_metrics_are_named_together_in_the_order_of_the_table():
    asked = EvalRequest("model", suite="coupling,answers,safety").metrics
    assert asked == tuple(name for name in METRICS if name in {"coupling", *suites()["answers"]})


@pytest.mark.moderate
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_measured_recorded_and_shown(name, own, given, capsys):
    metric = METRICS[name]
    evaluation = evaluate(EvalRequest(str(own), suite=name, **given)).evaluation
    assert {entry["name"] for entry in evaluation["metrics"]} == {name}
    for entry in evaluation["metrics"]:
        assert {"base", "edited", "control"} - set(entry["values"]) <= ({"base"} if name in ("kl", "gain") else set())
        assert entry["label"].startswith(metric.label) and entry["better"] == metric.better
    assert Evidence.from_json(json.loads(json.dumps(evaluation))).to_json() == json.loads(json.dumps(evaluation))
    (report,) = reports(evaluation)
    card = (own / "README.md").read_text()
    assert evaluation["metrics"][0]["label"] in card
    assert report.sentence.partition("\n")[0] in card
    recorded = json.loads((own / "spin" / "spin.json").read_text())["evaluation"]
    assert evaluation["metrics"][0] in recorded["metrics"]
    assert name in shown(evaluation, capsys)


def shown(evaluation, capsys):
    from spin_hub.cli import eval as command
    from spin_hub.cli.console import Screen

    screen = Screen(as_json=False, quiet=False)
    command.show_evidence(screen, evaluation)
    command._show_details(screen, evaluation)
    return "".join(capsys.readouterr())


def test_metrics_that_share_their_preparation_are_prepared_once(edited, monkeypatch):
    found = []

    def prepare(inputs, names):
        found.append((isinstance(inputs, Inputs), names))
        raise LookupError

    entries = {name: dataclasses.replace(METRICS[name], prepare=prepare) for name in ("awareness", "safety")}
    monkeypatch.setattr(METRICS, "_own", {**METRICS._own, **entries})
    with pytest.raises(LookupError):
        evaluate(EvalRequest(str(edited), suite="safety,awareness"))
    assert found == [(True, ["awareness", "safety"])]


@pytest.mark.moderate
def test_one_file_of_another_package_adds_a_metric(install, edited, tmp_path, cli, capsys, monkeypatch):
    install(LENGTH, {"spin_hub.metrics": {"toy_norm": "METRIC"}})
    own = shutil.copytree(edited, tmp_path / "own")
    assert suites()["toy_suite"] == ("toy_norm",) and "toy_norm" in suites()["quick"]
    monkeypatch.setenv("COLUMNS", "200")
    _, text, _ = cli("eval", "--help")
    text = " ".join(text.replace("│", " ").split())
    assert "toy_norm: the mean norm of the tensors" in text and f"Suites ({', '.join(suites())})" in text
    evaluation = evaluate(EvalRequest(str(own), suite="toy_suite")).evaluation
    assert [entry["name"] for entry in evaluation["metrics"]] == ["toy_norm"]
    assert "norm.png" in {path.name for path in draw_evaluation(evaluation, "tiny", tmp_path)}
    assert (tmp_path / "norm.png").read_text() == "Norms of tiny"
    assert ("the tensors' norm" in unmeasured(None), "the tensors' norm" in unmeasured(evaluation)) == (True, False)
    assert evaluation["metrics"][0]["values"].keys() == {"base", "edited", "control"}
    assert evaluation["about"]["plugins"] == [
        {"table": "spin_hub.metrics", "name": "toy_norm", "package": "spin-toy", "version": "1.2"}
    ]
    text = shown(evaluation, capsys)
    assert "toy_norm" in text and "tensors of the norm" in text
    card = (own / "README.md").read_text()
    assert "Norm of a tensor (as the weights)" in card and "Norm \\| &lt;b>: the mean over" in card
    assert "KL and perplexity:" in card
    monkeypatch.undo()
    from spin_hub import plugins
    from spin_hub.workflows.card import card as write_card

    plugins._points.cache_clear()
    assert "toy_norm" not in METRICS
    write_card(own)
    card = (own / "README.md").read_text()
    assert "Norm of a tensor (as the weights)" in card and "the mean over" not in card
    assert "toy_norm" in shown(evaluation, capsys)


def test_a_package_that_does_not_load_hides_no_other_metric(install, edited):
    from spin_hub.errors import PluginFailed

    install("raise ValueError('no luck')", {"spin_hub.metrics": {"toy_norm": "METRIC"}})
    assert "toy_norm" not in suites()["quick"]
    assert EvalRequest(str(edited)).metrics == suites()["quick"]
    with pytest.raises(PluginFailed, match="no luck"):
        evaluate(EvalRequest(str(edited), suite="toy_norm"))


def test_the_tokenizer_of_the_inputs_is_loaded_once(tiny):
    from spin_hub.artifacts.base_model import open_base

    inputs = Inputs(EvalRequest(str(tiny)), open_base(str(tiny)), None, None)
    assert inputs.tokenizer is inputs.tokenizer
    assert inputs.tokenizer.get_vocab() == load_tokenizer(tiny, False).get_vocab()
    assert isinstance(METRICS["kl"], Metric)
