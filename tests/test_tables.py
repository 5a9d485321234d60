"""The tables RULES and SCORES: each entry in help, record and card, those of installed packages too."""

import dataclasses
import json
import re
import tomllib
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from spin_hub import load_delta, plugins
from spin_hub.artifacts.write import rule_text
from spin_hub.cli.app import app
from spin_hub.core.algebra import HOWS, how_of
from spin_hub.core.delta import ACTIONS, action_of
from spin_hub.errors import PluginMissing, UsageError
from spin_hub.model_cards.body import edit_command
from spin_hub.model_cards.render import render_card
from spin_hub.recipe import DEFAULT_SCORE, RULES, ScoringRecipe, SelectionRecipe, rule_sentence, under_rule
from spin_hub.record import ModelRecord, Record, Result, ScoringRecord
from spin_hub.scoring.scores import SCORES, recorded_score, score_named

RULE = """
from spin_hub.core.rules import Rule, by_expression
def chosen(ranking, recipe):
    return by_expression(ranking, recipe.parsed, recipe.all_ratios)

RULE = Rule("toy-one-set", "the best weights of one set", "the best weights", chosen,
            card="One set | alone.", expression="fairness", implies={"accumulate": "model"}, takes_expression=True)
"""
SCORE = """
class Magnitude:
    name, sentence = "toy-size", "its magnitude"
    def accumulate(self, sums, passed): pass
    def finish(self, weight, sums): return sums.copy_(weight.abs())
SCORE = Magnitude()
"""
BOTH = {"spin_hub.rules": {"toy-one-set": "RULE"}, "spin_hub.scores": {"toy-size": "SCORE"}}


def help_of(verb):
    return " ".join(CliRunner().invoke(app, [verb, "--help-all"]).output.replace("│", " ").split())


def record(selection, recipe=None):
    scoring = ScoringRecord(recipe or ScoringRecipe(), (), {}, score=recorded_score((recipe or ScoringRecipe()).score))
    return Record("model", ModelRecord("m"), scoring, selection.to_json(), Result(0, 0, {}, {}, "d" * 64))


def again(made):
    return Record.from_json(json.loads(json.dumps(made.to_json())))


@pytest.mark.parametrize("name", list(RULES))
def test_a_rule_is_in_help_record_and_card(name):
    recipe = SelectionRecipe(name, p=0.1, q=0.1)
    assert RULES[name].name == name and RULES[name].sentence in help_of("edit")
    assert SelectionRecipe.from_json(again(record(recipe)).method) == recipe
    assert rule_sentence(recipe.to_json()) == RULES[name].sentence
    assert under_rule(ScoringRecipe(), name, {}) == dataclasses.replace(ScoringRecipe(), **RULES[name].implies)


def test_a_packages_rule_is_known_everywhere_and_missed_in_a_sentence(install, monkeypatch):
    install(RULE, {"spin_hub.rules": {"toy-one-set": "RULE"}})
    method = record(SelectionRecipe("toy-one-set", p=0.1, q=0.1)).method
    assert "the best weights of one set" in help_of("sweep")
    said = {"sentence": "the best weights of one set", "chosen": "the best weights", "card": "One set | alone."}
    assert method["plugin"] == {"package": "spin-toy", "version": "1.2", **said} and method["expression"] == "fairness"
    assert "--rule toy-one-set" in edit_command(record(SelectionRecipe("toy-one-set")))
    monkeypatch.setattr("spin_hub.plugins._points", lambda group: {})
    assert "of the package spin-toy 1.2, which is not installed here" in rule_text(method)
    assert rule_sentence(method) == "the best weights of one set, from the package spin-toy 1.2"
    with pytest.raises(PluginMissing, match='rule "toy-one-set" of the package spin-toy 1.2'):
        SelectionRecipe.from_json(method)


@pytest.mark.parametrize("rule", [name for name, rule in RULES.items() if not rule.takes_expression])
def test_a_rule_that_takes_no_expression_is_named(rule):
    with pytest.raises(UsageError, match=f"--select cannot be combined with --rule {rule}, which takes no other set"):
        SelectionRecipe(rule, expression="privacy")


def test_a_packages_rule_takes_an_expression_and_is_made_again_with_it(install):
    install(RULE, {"spin_hub.rules": {"toy-one-set": "RULE"}})
    recipe = SelectionRecipe("toy-one-set", "privacy - general", p=0.1, q=0.2, ratios={"privacy": 0.3})
    made = again(record(recipe))
    assert SelectionRecipe.from_json(made.method) == recipe
    words = edit_command(made)
    assert "--rule toy-one-set --p 0.1 --q 0.2 --select 'privacy - general' --ratio privacy=0.3" in words


@pytest.mark.parametrize("name", [*SCORES, "toy-own"])
def test_a_card_describes_every_score_of_the_library(name, monkeypatch):
    own = dataclasses.make_dataclass("Own", ["name", "sentence"])("toy-own", "its own <toy>")
    monkeypatch.setattr(SCORES, "_own", {**SCORES._own, "toy-own": own})
    made = again(record(SelectionRecipe(), ScoringRecipe(score=name)))
    card = " ".join(render_card(made).split())
    assert f"A weight's importance for a set of examples is {SCORES[name].sentence}".replace("<", "&lt;") in card
    assert (f"(`--score {name}`)" in card) == (name != DEFAULT_SCORE) and "of the package" not in card


def test_the_card_of_a_packages_rule_and_score_names_it_and_needs_it_no_more(install, monkeypatch):
    install(RULE + SCORE, BOTH)
    made = again(record(SelectionRecipe("toy-one-set"), ScoringRecipe(score="toy-size", accumulate="model")))
    text = render_card(made)
    card = " ".join(text.split())
    assert "| rule | the best weights of one set, from the package spin-toy 1.2: `fairness` |" in card
    assert "the best weights of" in card and "One set \\| alone." in card and "not installed" not in card
    needs = (
        "`--rule toy-one-set` is from the package spin-toy 1.2; `--score toy-size` is from the package spin-toy 1.2."
    )
    assert f"The command's {needs}" in card
    monkeypatch.setattr("spin_hub.plugins._points", lambda group: {})
    assert render_card(made) == text


def test_the_package_in_the_documents_works(install):
    text = Path(__file__).parent.parent.joinpath("docs", "architecture.md").read_text("utf-8")
    points, source = (re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL)[1] for kind in ("toml", "python"))
    ((group, names),) = tomllib.loads(points)["project"]["entry-points"].items()
    ((name, place),) = names.items()
    install(source, {group: {name: place.partition(":")[2]}}, place.partition(":")[0].replace("_", "-"))
    made = again(record(SelectionRecipe(name)))
    assert RULES[name].name == name and "from the package spin-either 1.2" in render_card(made)
    assert set(made.method["ratios"]) == {"fairness", "privacy", "general"}


def test_a_packages_score_is_known_everywhere_and_missed_in_a_sentence(install, monkeypatch):
    install(SCORE, {"spin_hub.scores": {"toy-size": "SCORE"}})
    made = again(record(SelectionRecipe(), ScoringRecipe(score="toy-size")))
    assert "toy-size: its magnitude" in help_of("score") and "--score toy-size" in edit_command(made)
    assert made.scoring.score == {"sentence": "its magnitude", "package": "spin-toy", "version": "1.2"}
    monkeypatch.setattr("spin_hub.plugins._points", lambda group: {})
    with pytest.raises(PluginMissing, match='score "toy-size" of the package spin-toy 1.2'):
        score_named("toy-size", made.scoring.score)
    with pytest.raises(UsageError, match="The score must be one of taylor"):
        score_named("toy-size")


@pytest.fixture
def made(install, tiny, cli):
    """An edit by a rule and a score of a package."""
    install(RULE + SCORE, BOTH)
    by = ("--rule", "toy-one-set", "--score", "toy-size", "--p", "1e-2", "--q", "1e-2", "--samples", "2")
    assert cli("edit", tiny, *by, "--no-eval", "--as", "delta", "-o", "out", "--quiet") == (0, "out\n", "")
    return Path("out")


def test_an_edit_by_a_packages_rule_and_score_is_proved_described_and_made_again(made, tiny, cli):
    model = AutoModelForCausalLM.from_pretrained(tiny)
    delta = load_delta(made)
    for name, edit in delta.edits.items():
        weight = model.get_parameter(name).detach().abs().flatten()
        assert set(edit.indices) == set(weight.topk(len(edit.indices)).indices.tolist())
    assert len(delta.edits) == 12
    assert cli("verify", made, "--base", tiny)[0] == 0
    assert cli("reproduce", made, "--base", tiny)[0] == 0
    (made / "README.md").unlink()
    assert cli("card", made)[0] == 0
    card = " ".join((made / "README.md").read_text().split())
    assert "the best weights of one set" in card and "its magnitude" in card and "spin-toy" in card
    recipe = ("--recipe", made / "spin.json", "--no-eval", "-o", "again", "--quiet")
    assert cli("edit", tiny, *recipe)[0] == 0
    assert Path("again/spin_delta.safetensors").read_bytes() == (made / "spin_delta.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("missing", "said"), [("spin_hub.rules", 'rule "toy-one-set"'), ("spin_hub.scores", 'score "toy-size"')]
)
@pytest.mark.parametrize("verb", ["edit", "reproduce"])
def test_a_recipe_and_a_record_name_the_package_that_is_missing(made, tiny, cli, monkeypatch, missing, said, verb):
    points = plugins._points
    monkeypatch.setattr(plugins, "_points", lambda group: {} if group == missing else points(group))
    words = ("edit", tiny, "--recipe", made / "spin.json") if verb == "edit" else ("reproduce", made, "--base", tiny)
    code, out, _ = cli(*words, "--json")
    error = json.loads(out)["error"]
    assert (code, error["type"]) == (1, "PluginMissing")
    assert f"{said} of the package spin-toy 1.2, which is not installed here" in error["message"]


def test_the_default_score_leaves_records_as_they_were():
    assert "score" not in ScoringRecipe().to_json() and recorded_score("taylor") is None
    assert [SCORES[name].name for name in SCORES] == list(SCORES)


def test_ratios_are_exact_in_the_command_and_on_the_card():
    ratio = 0.00012345678901234567
    made = record(SelectionRecipe(p=ratio, q=0.1, ratios={"privacy": ratio}))
    words = edit_command(made).split()
    assert float(words[words.index("--p") + 1]) == ratio and f"privacy={ratio!r}" in words
    assert f"| ratio of privacy | {ratio!r} " in render_card(made)


def test_an_operation_is_read_back_or_refused():
    assert [how_of(text) for text in ("a & b", "a | b", "a - b")] == list(HOWS)
    with pytest.raises(ValueError, match="a \\^ b"):
        how_of("a ^ b")
    assert (
        all(action_of(action.operation) is action for action in ACTIONS.values()) and action_of({"kind": "x"}) is None
    )
