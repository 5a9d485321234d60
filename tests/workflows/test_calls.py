"""The verbs as functions: each option of the command line is a keyword, and both make the same request."""

import inspect
import json
import pkgutil
from pathlib import Path
from typing import get_args

import pytest
import typer.main

import spin_hub
from spin_hub.cli.app import app
from spin_hub.errors import UsageError
from spin_hub.workflows import options, requests

COMMANDS = typer.main.get_command(app).commands
# These are programs of the terminal alone.
VERBS = {name: {"eval": "evaluate"}.get(name, name) for name in COMMANDS if name not in ("demo", "env", "list")}
SCREEN = {"as_json", "quiet", "show_examples", "help_all"}


def keywords(verb):
    parameters = inspect.signature(getattr(spin_hub, verb)).parameters
    options = parameters.get("options")
    return parameters.keys() | (get_args(options.annotation)[0].__annotations__.keys() if options else set())


def defaults(command):
    return {parameter.name: parameter.default for parameter in COMMANDS[command].params if not parameter.required}


@pytest.mark.parametrize(("command", "verb"), VERBS.items())
def test_each_option_of_the_command_line_is_a_keyword(command, verb):
    parameters = [parameter for parameter in COMMANDS[command].params if parameter.name not in SCREEN]
    options = {parameter.name for parameter in parameters}
    for parameter in (parameter for parameter in parameters if parameter.opts[0].startswith("-")):
        assert f"--{parameter.name.strip('_').replace('_', '-').replace('sets', 'set')}" in parameter.opts
    # The plan of an edit is a function of its own.
    assert options - ({"plan"} if command == "edit" else set()) <= keywords(verb)


def test_no_room_has_the_name_of_a_function():
    # Importing the room would replace the function.
    rooms = {entry.name for entry in pkgutil.iter_modules(spin_hub.__path__)}
    assert not rooms & set(spin_hub.__all__)


@pytest.mark.parametrize("command", ["edit", "sweep", "eval"])
def test_the_defaults_of_the_command_line_are_those_of_the_library(command):
    make = getattr(requests, f"{command}_request")
    given = {"given": ()} if command == "edit" else {}
    assert make("m", defaults(command), **given) == make("m", {})


def test_the_defaults_of_the_other_verbs_too():
    assert options.scoring_recipe(defaults("score")) == options.scoring_recipe({})
    assert options.selection_recipe(defaults("select")) == options.selection_recipe({})
    assert requests.push_options(defaults("push")) == requests.push_options({})
    exported = requests.export_request("d", {**defaults("export"), "as_": "lora"})
    assert exported == requests.export_request("d", {"as_": "lora"})


def test_texts_and_values_make_the_same_request():
    words = {"ratio": ["general=0.02"], "sets": ["law=law.csv"], "select": "law - general", "max_memory": "2KiB"}
    values = {"ratio": {"general": 0.02}, "sets": {"law": "law.csv"}, "select": "law - general", "max_memory": 2048}
    assert requests.edit_request("m", words) == requests.edit_request("m", values)
    swept = requests.sweep_request("m", {"p": 0.1, "q": [0.1, 0.2], "layers": 3, "pick": 4})
    assert (swept.ps, swept.qs, swept.layers, swept.pick) == ((0.1,), (0.1, 0.2), ("3",), "4")


def test_a_recipe_file_and_a_preset_are_below_keywords(own_folder):
    Path("mine.toml").write_text('p = 1e-2\nq = 1e-3\nseed = 4\nas = "delta"\noutput = "here"\n')
    request = requests.edit_request("m", {"recipe": "mine.toml", "seed": 0})
    assert (request.selection.p, request.selection.seed, request.kind) == (1e-2, 0, "delta")
    assert request.destination.path == Path("here")
    paper = requests.edit_request("m", {"preset": "paper", "samples": 7})
    assert (paper.scoring.samples, paper.scoring.sets["privacy"]) == (7, "beavertails:privacy-safe")


@pytest.mark.parametrize(
    ("verb", "options", "said"),
    [
        ("edit", {"speed": 3}, "There is no option 'speed'; known: accumulate"),
        ("edit", {"p": 0.1}, "--q is missing"),
        ("edit", {"repo_id": "me/x"}, "--push is not given"),
        ("edit", {"as_": "gguf"}, "--as must be one of"),
        ("score", {"keep": 1}, "--keep must lie strictly between 0 and 1, not 1"),
        ("sweep", {"keep": 2.0}, "--keep must lie"),
        ("sweep", {"p": 0.1}, "Give both --p and --q"),
        ("sweep", {"p": 0.1, "q": [0.1, 1]}, "strictly between 0 and 1"),
        ("sweep", {"rule": "mine"}, "The rule must be one of"),
        ("sweep", {"layers": "x"}, "Layers are given as"),
        ("export", {}, "--as must be one of peft, lora, not ''"),
        ("evaluate", {"window": 1}, "--window must be at least 2"),
        ("push", {"create_pr": True, "tag": "x"}, "--create-pr"),
    ],
)
def test_wrong_options_are_a_usage_error_before_anything_is_opened(verb, options, said):
    with pytest.raises(UsageError, match=said):
        getattr(spin_hub, verb)("nowhere", **options)


def test_a_request_object_has_all_options():
    with pytest.raises(UsageError, match="A request has all options: leave out p"):
        spin_hub.edit(spin_hub.EditRequest("nowhere"), p=0.1)


def test_the_loop_by_keywords(tiny, few_texts):
    scored = spin_hub.score(tiny, samples=3, keep=0.1, output="ranking.safetensors")
    delta = spin_hub.select(scored.output, p=1e-2, q=1e-1, output="delta").output
    edited = spin_hub.apply(delta, tiny, output="edited").output
    assert spin_hub.verify(edited, base=tiny).equal
    assert spin_hub.reproduce(delta, base=tiny).equal
    assert spin_hub.inspect(delta, png="plots").plots
    plan = spin_hub.plan(tiny, p=1e-2, q=1e-1, samples=3)
    assert json.loads(json.dumps(plan.to_json()))["output"] == "tiny-spin"
    assert spin_hub.revert(edited, output="back").files
    swept = spin_hub.sweep(scored.output, base=tiny, p=1e-2, q=1e-1, output="swept")
    assert len(swept.study.rows) == 1
    shared = spin_hub.combine(delta, edited, how="and", output="shared")
    assert shared.record.result.weights == spin_hub.diff(delta, edited).total.shared
    assert spin_hub.evaluate(edited, no_record=True).evaluation["metrics"]
