"""EXPORTS: what holds for every kind of output, the library's own and one that a package brings."""

import json
import shlex

import pytest

import spin_hub
from spin_hub.artifacts.open import open_delta, read_record
from spin_hub.artifacts.recipe_file import read_recipe_file
from spin_hub.cli import app as cli
from spin_hub.core.files import README
from spin_hub.errors import PluginMissing, UsageError
from spin_hub.exports.base import EXPORTS, ExportOptions, settings_of
from spin_hub.kinds import KINDS, exported, kind_of
from spin_hub.model_cards.body import edit_command
from spin_hub.recipe import Destination, ScoringRecipe, SelectionRecipe
from spin_hub.verification.artifact import open_artifact
from spin_hub.workflows.edit import EditRequest
from spin_hub.workflows.verify import verify

SCORING, SELECTION = ScoringRecipe(samples=2), SelectionRecipe(p=5e-2, q=1e-1)
OWN = {"peft": {"peft_type": "shira"}, "lora": {"all_layers": True}}
"""Of each kind that has options, one that is not the default."""


def made(kind, tiny, folder, **more):
    request = EditRequest(
        str(tiny), SCORING, SELECTION, kind, Destination(folder), limits=None, anyway=True, **more
    )  # fmt: skip
    return spin_hub.edit(request)


def files_of(folder) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_both_tables_have_the_same_names_and_facts():
    assert list(EXPORTS) == list(KINDS)
    assert all(EXPORTS[name].facts is kind_of(name) for name in EXPORTS)
    assert len({kind_of(name).suffix for name in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", EXPORTS)
def test_written_verified_recorded_and_made_again(kind, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "to").symlink_to(tiny.parent)
    facts, options = kind_of(kind), OWN.get(kind, {})
    outcome = made(kind, tiny, tmp_path / "first", **options)
    found = verify(tmp_path / "first", base=str(tiny))
    assert (found.equal, found.kind) == (True, kind)
    record = read_record(tmp_path / "first" / f"{facts.folder}spin.json")
    assert record == outcome.record and record.kind == kind
    with open_artifact(str(tmp_path / "first")) as subject:
        assert subject.facts is facts
    card = (tmp_path / "first" / README).read_text()
    assert f"library_name: {facts.library}" in card and f"kind: {kind}" in card
    again = files_of(tmp_path / "first")
    command = edit_command(record)
    assert command in card
    # The command of the card, where its placeholder leads to the base.
    assert cli.run([*shlex.split(command)[1:], "--no-eval", "--quiet", "-o", "second"]) == 0
    assert files_of(tmp_path / "second") == again
    # The record as a recipe; only a rank above the usual one must be asked for again.
    recipe = tmp_path / "first" / f"{facts.folder}spin.json"
    consent = ["--yes"] if "yes" in facts.options(record.adapter or {}) else []
    arguments = ["edit", str(tiny), "--recipe", str(recipe), "--no-eval", "--quiet", "-o", "third", *consent]
    assert cli.run(arguments) == 0
    assert files_of(tmp_path / "third") == again


@pytest.mark.parametrize(("kind", "options"), [("peft", {}), *OWN.items()])
def test_the_recipe_of_an_adapter_names_its_kind_and_options(kind, options, tiny, tmp_path):
    made(kind, tiny, tmp_path / "out", **options)
    recipe = read_recipe_file(tmp_path / "out" / "spin" / "spin.json")
    assert recipe["as"] == kind
    assert {name: recipe[name] for name in ("peft_type", "all_layers") if name in recipe} == options


def test_a_lora_of_a_large_rank_is_asked_for_with_yes():
    assert kind_of("lora").arguments({"rank": 65}) == ["--as", "lora", "--yes"]
    assert kind_of("lora").arguments({"rank": 64, "all_layers": True}) == ["--as", "lora", "--all-layers"]


def test_options_of_another_kind_are_refused_before_any_work():
    with pytest.raises(UsageError, match="--peft-type is for --as peft, not for model"):
        EditRequest("nowhere", peft_type="shira")
    with pytest.raises(UsageError, match="--all-layers is for --as lora, not for peft"):
        ExportOptions(form="peft", all_layers=True)
    with pytest.raises(UsageError, match=f"must be one of {', '.join(KINDS)}, not 'toy-none'"):
        EditRequest("nowhere", kind="toy-none")


# A form of a package of one file.
TOY = """
from spin_hub.artifacts.verification import Difference
from spin_hub.exports.base import Export, Made
from spin_hub.kinds import Kind

def lines(delta):
    return "".join(f"{name} {index}\\n" for name, edit in delta.edits.items() for index in edit.indices)

class ListMade(Made):
    def __init__(self, facts, base, delta):
        super().__init__(facts, base)
        object.__setattr__(self, "text", lines(delta))

    def about(self, reporter):
        return {"lines": self.text.count("\\n")}

    def fill(self, folder, model):
        (folder / "weights.txt").write_text(self.text, "utf-8", newline="\\n")

class List(Export):
    facts = Kind(
        name="toy-list", noun="a list of weights", help="a list in plain text", suffix="-toy-list", library="spin-toy",
        template="# {{ record.adapter.lines }} lines\\n\\n{{ command }}\\n", files=("weights.txt",), tags=("toy-list",),
    )

    def make(self, options, delta, base, reporter):
        return ListMade(self.facts, base, delta)

    def verify(self, record, delta, store, base):
        if store.whole("weights.txt").decode() == lines(delta):
            return []
        return [Difference("export", "weights.txt", "the delta's weights", "others")]

LIST = List()
"""


@pytest.fixture
def toy(install):
    install(TOY, {"spin_hub.exports": {"toy-list": "LIST"}})


@pytest.mark.parametrize("verb", ["edit", "export"])
def test_a_packages_form_is_in_the_help(toy, verb, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    cli.run([verb, "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "toy-list: a list in plain text" in text
    assert all(f"{name}: {kind_of(name).help}" in text for name in exported())


def test_a_packages_form_is_written_recorded_and_verified(toy, tiny, tmp_path):
    outcome = made("toy-list", tiny, tmp_path / "out")
    text = (tmp_path / "out" / "weights.txt").read_text()
    assert text.count("\n") == outcome.record.result.weights
    entry = json.loads((tmp_path / "out" / "spin" / "spin.json").read_text())
    assert (entry["kind"], entry["plugin"]) == ("toy-list", {"package": "spin-toy", "version": "1.2"})
    card = (tmp_path / "out" / README).read_text()
    assert f"# {outcome.record.result.weights} lines" in card
    assert "--as toy-list" in card and "library_name: spin-toy" in card and "- toy-list" in card
    assert verify(tmp_path / "out", base=str(tiny)).equal
    (tmp_path / "out" / "weights.txt").write_text("others\n")
    found = verify(tmp_path / "out", base=str(tiny))
    assert [(row.what, row.file) for row in found.differences] == [("export", "weights.txt")]
    assert settings_of(outcome.record).form == "toy-list"


def test_export_and_the_terminal_know_a_packages_form(toy, tiny, tmp_path, capsys):
    from spin_hub.cli.console import Screen
    from spin_hub.cli.show import show_edit

    folder = made("delta", tiny, tmp_path / "delta").output
    outcome = spin_hub.export(
        spin_hub.ExportRequest(str(folder), str(tiny), form="toy-list", destination=Destination(tmp_path / "out"))
    )
    show_edit(Screen(False, False), outcome)
    assert "lines" in capsys.readouterr().out
    assert open_delta(tmp_path / "out")[1] == outcome.record


@pytest.mark.parametrize("verb", ["verify", "inspect", "revert", "card", "push"])
def test_without_the_package_every_verb_says_so_in_a_sentence(install, tiny, tmp_path, verb, capsys):
    install(TOY, {"spin_hub.exports": {"toy-list": "LIST"}})
    made("toy-list", tiny, tmp_path / "out")
    from spin_hub import plugins

    # As if it was never installed.
    for path in (tmp_path / "site").rglob("entry_points.txt"):
        path.unlink()
    plugins._points.cache_clear()
    assert cli.run([verb, str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    sentence = 'This was made with the export "toy-list" of the package spin-toy 1.2, which is not installed here.'
    assert sentence in " ".join(error.split())
    with pytest.raises(PluginMissing):
        read_record(tmp_path / "out" / "spin" / "spin.json")
