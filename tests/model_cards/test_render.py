"""Cards against golden files, and what every card must be."""

import dataclasses
import itertools
import json
import os
import shlex
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from spin_hub.errors import CardFailed
from spin_hub.kinds import KINDS, kind_of
from spin_hub.model_cards import body
from spin_hub.model_cards.body import edit_command
from spin_hub.model_cards.front_matter import read_readme
from spin_hub.model_cards.render import BEGIN, END, render_card
from spin_hub.recipe import RULES, ScoringRecipe, SelectionRecipe
from spin_hub.record import ModelRecord, Record, Result, ScoringRecord, SetRecord

GOLDEN = Path(__file__).parent / "golden"
BASE = ModelRecord(
    name="Tiny-7B-Instruct",
    repo_id="org/Tiny-7B-Instruct",
    commit="0123456789abcdef0123456789abcdef01234567",
    files={"model.safetensors": "a" * 64, "README.md": "b" * 64},
    left_out={"pytorch_model.bin": "c" * 64, "model.gguf": ""},
    card={"license": "apache-2.0", "language": ["en"], "pipeline_tag": "text-generation"},
)
LOCAL = ModelRecord(name="my | model", files={"model.safetensors": "a" * 64})
COUNTS = {
    "model.layers.0.mlp.up_proj.weight": 3,
    "model.layers.0.mlp.down_proj.weight": 1,
    "model.layers.11.mlp.up_proj.weight": 1200,
}
RESULT = Result(1204, 3, COUNTS, dict.fromkeys(COUNTS, (8, 16)), "d" * 64, 84)


def scoring(recipe: ScoringRecipe, **changes) -> ScoringRecord:
    sets = tuple(
        SetRecord(name, Path(source).name, "CC0-1.0", 64, 32, 4000, 2500, "e" * 64, f"{number}" * 64)
        for number, (name, source) in enumerate(recipe.sets.items())
    )
    versions = {"spin_hub": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0"}
    return ScoringRecord(dataclasses.replace(recipe, dtype="bfloat16", device="cpu", engine="whole"), sets, versions)


def record(kind="model", base=BASE, recipe=None, selection=None, **changes) -> Record:
    method = (selection or SelectionRecipe(p=1e-2, q=1e-3)).to_json()
    return Record(kind, base, scoring(recipe or ScoringRecipe()), method, RESULT, **changes)


LLAMA = dataclasses.replace(BASE, card={"license": "llama3.1", "license_link": "LICENSE"})
EVIDENCE = {
    "format": 1,
    "states": ["base", "edited", "control"],
    "metrics": [
        {
            "name": "kl", "label": "KL to the base", "axis": None, "unit": "nats per token", "better": "lower",
            "values": {
                "edited": {"value": 0.0025, "low": 0.0022, "high": 0.0028, "n": 32},
                "control": {"value": 0.0018, "low": None, "high": None, "n": 1},
            },
        },
        {
            "name": "preference", "label": "Aware answer preferred", "axis": "privacy", "unit": "share of pairs",
            "better": "higher",
            "values": {s: {"value": 0.5, "low": 0.4, "high": 0.6, "n": 40} for s in ("base", "edited", "control")},
        },
    ],
    "about": {"general_examples": 32, "pairs": {"fairness": 40, "privacy": 40}, "dtype": "bfloat16"},
}  # fmt: skip
PUBLISHED = ScoringRecipe(samples=32, tokenization="published", accumulate="model")
OWN = ScoringRecipe(sets={"law": "law.csv", "privacy": "builtin:privacy"}, samples=32, chat_template=True)
CASES = {
    "model": record(),
    "delta": record("delta"),
    "published-delta": record("delta", recipe=PUBLISHED, selection=SelectionRecipe("published", p=1e-4, q=1e-4)),
    "own-sets": record(base=LOCAL, recipe=OWN, selection=SelectionRecipe(expression="law & privacy", q=1e-3)),
    "random": record(selection=SelectionRecipe("random", p=1e-2, q=1e-3, seed=5)),
    "evidence": record(evaluation=EVIDENCE),
    "llama": record(base=LLAMA),
    "bare": dataclasses.replace(record(), scoring=None, result=dataclasses.replace(RESULT, candidates=None)),
}


@pytest.mark.parametrize("name", CASES)
def test_cards_are_those_of_the_golden_files(name):
    card = render_card(CASES[name])
    path = GOLDEN / f"{name}.md"
    if os.environ.get("SPIN_HUB_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(card, "utf-8")
    assert card == path.read_text("utf-8"), "if the change is wanted: SPIN_HUB_UPDATE_GOLDEN=1 pytest tests/model_cards"


@pytest.mark.parametrize("name", CASES)
def test_every_card_has_the_metadata_that_the_hub_reads(name):
    data = ModelCard(render_card(CASES[name])).data.to_dict()
    edited = CASES[name].kind == "model"
    assert data["library_name"] == ("transformers" if edited else "spin-hub")
    assert {"spin-hub", "spin", "fairness", "privacy", "arxiv:2410.16672"} == set(data["tags"])
    if CASES[name].model.repo_id:
        assert data["base_model"] == "org/Tiny-7B-Instruct"
        assert data["base_model_relation"] == ("finetune" if edited else "adapter")
        assert data["license"] == CASES[name].model.card["license"]
        assert data.get("pipeline_tag") == CASES[name].model.card.get("pipeline_tag")
    else:
        assert "base_model" not in data
        assert "license" not in data
    assert data["spin_hub"]["weights"] == 1204


@pytest.mark.parametrize("name", CASES)
def test_a_table_has_as_many_cells_in_every_row(name):
    assert_tables_are_whole(render_card(CASES[name]))


@pytest.mark.parametrize("name", [name for name in CASES if name != "bare"])
def test_the_command_of_a_card_parses_and_says_the_same(name):

    words = shlex.split(edit_command(CASES[name]))
    assert words[:2] == ["spin-hub", "edit"]
    given = {words[n]: words[n + 1] for n in range(3, len(words) - 1) if words[n].startswith("--")}
    method = CASES[name].method
    if "p" in method:
        assert (float(given["--p"]), float(given["--q"])) == (method["p"], method["q"])
    else:
        ratios = [words[n + 1] for n in range(len(words)) if words[n] == "--ratio"]
        assert {k: float(v) for k, v in (text.split("=") for text in ratios)} == method["ratios"]


def test_a_persons_words_and_metadata_stay_and_ours_are_renewed():
    card = render_card(CASES["model"])
    theirs = card.replace("license: apache-2.0", "license: mit\nthumbnail: me.png").replace("\n- spin\n", "\n- mine\n")
    theirs = theirs.replace(BEGIN, "Before.\n\n" + BEGIN).replace(END, END + "\n\nAfter.") + "\n"
    again = render_card(record(selection=SelectionRecipe(p=1e-1, q=1e-3)), theirs)
    data = ModelCard(again).data.to_dict()
    assert (data["license"], data["thumbnail"]) == ("mit", "me.png")
    assert data["tags"] == ["spin-hub", "spin", "fairness", "privacy", "arxiv:2410.16672"]
    assert data["spin_hub"]["p"] == 0.1
    assert "Before.\n\n" + BEGIN in again
    assert again.endswith(END + "\n\nAfter.\n")
    assert render_card(record(selection=SelectionRecipe(p=1e-1, q=1e-3)), again) == again


APPLIED = {
    "base": {"repo_id": "org/base", "commit": "1" * 40, "name": "base"},
    "delta": {"repo_id": "org/base-spin-delta", "commit": "2" * 40, "sha256": "3" * 64},
    "fit": {"weights": 1204, "equal": 1000, "changed": 200, "zero": 4, "changed_drift": 0.0123},
    "lineage": {
        "chain": ["org/chat", "org/base"],
        "links": [
            {"model": "org/chat", "of": None, "relation": "finetune"},
            {"model": "org/base", "of": "org/chat", "relation": None},
        ],
        "linked": True,
        "config_differences": [],
    },
}
ADAPTER = {"type": "LORA", "rank": 4, "modules": 3, "all_layers": False, "bytes": 4096, "dtypes": ["bfloat16"],
           "peft_since": "0.20", "unmerged": None}  # fmt: skip
ADAPTERS = {"peft": {**ADAPTER, "type": "TRAINABLE_TOKENS", "rank": None}, "lora": ADAPTER}


@pytest.mark.parametrize("base", [BASE, LOCAL], ids=["hub", "local"])
@pytest.mark.parametrize("rule", [*RULES, "expression"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_card_for_every_rule(kind, rule, base):
    selection = SelectionRecipe(expression="fairness - general") if rule == "expression" else SelectionRecipe(rule)
    plain = record(kind, base, selection=selection, adapter=ADAPTERS.get(kind))
    for variant in (
        plain,
        dataclasses.replace(plain, evaluation=EVIDENCE),
        dataclasses.replace(plain, applied=APPLIED),
    ):
        card = render_card(variant, None, "me/out")
        assert render_card(variant, card, "me/out") == card
        assert_tables_are_whole(card)
        assert "\n\n\n" not in card
        assert read_readme(card).data["library_name"] == kind_of(kind).library
        assert card.count("```") % 2 == 0


def base_model_of(applied, base=LOCAL, kind="model"):
    data = read_readme(render_card(record(kind, base, adapter=ADAPTERS.get(kind), applied=applied))).data
    return data.get("base_model"), data.get("base_model_relation")


def test_the_card_of_a_local_fine_tune_names_what_it_descends_from():
    """As its own card says, else as its delta does; nothing that is right for the fine-tune alone names another."""
    assert base_model_of(APPLIED) == ("org/chat", "finetune")
    merged = [{"model": name, "of": None, "relation": "merge"} for name in ("org/chat", "org/code")]
    assert base_model_of({**APPLIED, "lineage": {**APPLIED["lineage"], "links": merged}})[0] == ["org/chat", "org/code"]
    unlinked = {**APPLIED, "lineage": {**APPLIED["lineage"], "links": [], "linked": False}}
    assert base_model_of(unlinked) == ("org/base", "finetune")
    assert base_model_of({**unlinked, "base": {"repo_id": None, "commit": None, "name": "x"}}) == (None, None)
    assert base_model_of(APPLIED, kind="lora") == (None, None)
    assert base_model_of(APPLIED, BASE)[0] == "org/Tiny-7B-Instruct"
    assert base_model_of(None) == (None, None)
    assert "descends from org/chat, which descends from org/base." in render_card(record(base=LOCAL, applied=APPLIED))


def assert_tables_are_whole(card):
    lines = card.splitlines()
    for number, line in enumerate(lines):
        if line.startswith(("|--", "|:-")):
            block = [lines[number - 1], *itertools.takewhile(lambda row: row.startswith("|"), lines[number + 1 :])]
            assert {row.replace("\\|", "").count("|") for row in block} == {line.count("|")}, block


def test_only_what_was_not_measured_is_called_so(monkeypatch):
    assert "Not measured: answers to questions, over-refusal, safety," in render_card(CASES["evidence"])
    metrics = [{**EVIDENCE["metrics"][0], "name": name} for name in ("awareness", "safety", "over_refusal")]
    monkeypatch.setattr(body, "reports", lambda _: [])
    full = {**EVIDENCE, "metrics": [*EVIDENCE["metrics"], *metrics]}
    assert "- Not measured: abilities beyond general text, other languages." in render_card(record(evaluation=full))


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_bases_card_says_and_nobody_can_read_is_on_the_card(kind):
    notes = ("The licence of the base is unknown here, because x | y.", "The language cannot be read.")
    base = dataclasses.replace(BASE, card={"license": "unknown"}, card_notes=notes)
    licence = render_card(record(kind, base, adapter=ADAPTERS.get(kind))).partition("## Licence")[2]
    assert "Inherited from the base: `unknown`." in licence
    assert "because x \\| y." in licence
    assert "The language cannot be read. See [the base's own card](https://huggingface.co/org/Tiny-7B" in licence
    assert render_card(record(kind, base, adapter=ADAPTERS.get(kind))).startswith("---\nbase_model:")


def test_a_record_keeps_what_the_bases_card_does_not_say_plainly():
    noted = record(base=dataclasses.replace(BASE, card_notes=("One.", "Two.")))
    assert Record.from_json(json.loads(json.dumps(noted.to_json()))).model.card_notes == ("One.", "Two.")
    assert "card_notes" not in json.dumps(record().to_json())


def test_names_cannot_break_out_of_a_table_or_a_heading():
    evil = dataclasses.replace(LOCAL, name="a | b <script>\n# head")
    for kind in ("model", "delta"):
        card = render_card(dataclasses.replace(CASES["own-sets"], model=evil, kind=kind))
        prose = card.split("## Reapply")[0].split("## Apply")[0]
        assert "<script>" not in prose
        assert "\n# head" not in prose


def test_a_bases_licence_cannot_break_out_of_its_line():
    evil = {"license": "other", "license_name": "x`\n# head <script>"}
    notes = ("It says [click](https://evil.example) <b>.",)
    base = dataclasses.replace(BASE, card=evil, card_notes=notes)
    licence = render_card(record(base=base)).partition("## Licence")[2]
    assert "`x' # head <script>`." in licence
    assert "It says \\[click](https://evil.example) &lt;b>." in licence
    several = dataclasses.replace(BASE, card={"license": ["mit", "apache-2.0"]})
    assert "`mit, apache-2.0`" in render_card(record(base=several))


def test_a_recipes_note_and_doubtful_terms_stand_under_the_sets():
    sets = (dataclasses.replace(CASES["model"].scoring.sets[0], licence="cc-by-nc-4.0", note="approximate: a | list"),)
    card = render_card(
        dataclasses.replace(CASES["model"], scoring=dataclasses.replace(CASES["model"].scoring, sets=sets))
    )
    assert "**fairness**: approximate: a \\| list." in card
    assert "are cc-by-nc-4.0; find out whether they allow your use" in card


def test_a_template_that_asks_for_what_is_missing_is_an_error_of_its_own(monkeypatch):
    variables = body._variables(CASES["model"], None)
    del variables["table"]
    monkeypatch.setattr(body, "_variables", lambda *_: variables)
    with pytest.raises(CardFailed, match="table"):
        render_card(CASES["model"])


def test_a_combined_delta_warns_of_the_terms_of_its_parts():
    sets = [{"name": "privacy", "source": "org/data", "licence": "cc-by-nc-4.0", "examples": 8}]
    origins = {
        "a": {"repo_id": None, "commit": None, "sha256": "1" * 64, "weights": 2000, "sets": sets},
        "b": {"repo_id": "me/delta", "commit": "2" * 40, "sha256": "3" * 64, "weights": 7, "sets": []},
    }
    method = {
        "rule": "combined",
        "expression": "a | b",
        "parts": {"a": {"rule": "paper", "expression": "x & y"}, "b": {}},
        "deltas": origins,
    }
    text = render_card(Record("delta", BASE, None, method, RESULT))
    assert "the weights of two other deltas, a and b, combined as `a | b`" in text
    assert "| a | - | `1111111111111111` | paper `x & y` | 2,000 | org/data (cc-by-nc-4.0) |" in text
    assert f"| b | me/delta@{'2' * 40} | `3333333333333333` |  | 7 | not known |" in text
    assert "**a, privacy**: the terms of org/data are cc-by-nc-4.0" in text
    assert "--how or" in text
    assert edit_command(Record("delta", BASE, None, method, RESULT)) is None


def test_an_existing_card_whose_results_cannot_be_read_keeps_its_text():
    existing = "---\nmodel-index:\n- name: x\n  results:\n  - task: {}\n---\n\nMine.\n"
    assert "Mine." in render_card(CASES["model"], existing)


def test_a_record_without_sets_or_with_numbers_beyond_all_bounds_ends_in_a_sentence():
    scored = dataclasses.replace(CASES["own-sets"].scoring, sets=())
    assert "spin-hub edit" in render_card(dataclasses.replace(CASES["own-sets"], scoring=scored))
    metric = {**EVIDENCE["metrics"][0], "values": {"base": {"value": 10**400, "low": 0, "high": 0, "n": 1}}}
    with pytest.raises(CardFailed):
        render_card(dataclasses.replace(CASES["evidence"], evaluation={**EVIDENCE, "metrics": [metric]}))
