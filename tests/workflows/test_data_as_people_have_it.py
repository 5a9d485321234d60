"""Data as people have it, through the command line: what reaches the model, what is said, and what is recorded."""

import json
import shutil
from pathlib import Path

import pytest

from spin_hub.artifacts.open import read_record
from spin_hub.model_cards.body import edit_command

PAIRS = [{"prompt": f"question {n}", "response": f"answer {n}"} for n in range(16)]
EDIT = ("--p", "1e-2", "--q", "2e-1", "--no-eval", "--as", "delta", "-o", "out", "--overwrite")
EMPTY = {3: "", 7: "   ", 9: None}


def write(name, rows):
    """Write JSON lines, or an array, into the test's folder."""
    text = json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows)
    Path(name).write_text(text, "utf-8")
    return name


@pytest.fixture
def faulty(own_folder):
    """Sixteen rows, three of which have no response."""
    return write("rows.jsonl", [{**row, "response": EMPTY.get(n, row["response"])} for n, row in enumerate(PAIRS)])


@pytest.fixture
def shown(tiny, cli):
    """The examples of the set general as the model reads them, and what is said beside them."""

    def run(spec, samples=16, *options):
        chosen = ("--samples", samples, "--select", "general", "--ratio", "general=1e-1", "--general", spec, *options)
        code, out, err = cli("edit", tiny, *chosen, "--show-examples", samples, "--plan", "--json")
        assert code == 0, (out, err)
        return err

    return run


def refusal(cli, tiny, spec, *options):
    """The one JSON object of a command that is refused."""
    code, out, _ = cli("edit", tiny, *EDIT, "--samples", 8, "--general", spec, *options, "--json")
    assert code == 1
    return json.loads(out)["error"]


def test_rows_without_a_response_are_left_out_in_note_plan_record_and_card(tiny, cli, faulty):
    words = ("edit", tiny, *EDIT, "--samples", 13, "--general", faulty)
    code, out, err = cli(*words, "--plan", "--json")
    assert code == 0
    sets = {entry["name"]: entry for entry in json.loads(out)["sets"]}
    left_out = {"response is empty": 2, "response is missing": 1}
    assert sets["general"]["left_out"] == left_out
    assert "left_out" not in sets["privacy"]
    note = "3 of 16 drawn rows are left out (response is empty: 2, response is missing: 1), and the next ones taken"
    assert note in " ".join(err.split())
    code, out, err = cli(*words)
    assert code == 0
    assert note in " ".join(err.split())
    record = read_record(Path("out/spin.json"))
    written = {entry["name"]: entry for entry in record.to_json()["recipe"]["scoring"]["sets"]}
    assert written["general"]["left_out"] == left_out
    assert "left_out" not in written["privacy"]
    assert "strict_rows" not in record.to_json()["recipe"]["scoring"]["recipe"]
    card = Path("out/README.md").read_text("utf-8")
    assert "**general**: rows left out: response is empty (2), response is missing (1)." in card
    assert cli("reproduce", "out", "--base", tiny, "--set", f"general={faulty}")[0] == 0


def test_strict_rows_refuses_them_all_with_numbers_and_reasons(tiny, cli, faulty):
    error = refusal(cli, tiny, faulty, "--strict-rows", "--samples", 13)
    assert error["type"] == "BadRow"
    for reason in ("row 3 (its response is empty)", "row 7 (its response is empty)", "row 9 (its response is missing)"):
        assert reason in error["message"]
    assert "--strict-rows" in error["hint"]


def test_a_strict_run_is_recorded_and_its_command_says_so(tiny, cli, own_folder):
    rows = write("rows.jsonl", PAIRS)
    assert cli("edit", tiny, *EDIT, "--samples", 8, "--general", rows, "--strict-rows")[0] == 0
    record = read_record(Path("out/spin.json"))
    assert record.scoring.recipe.strict_rows
    assert " --strict-rows" in edit_command(record)
    shutil.copy("out/spin.json", "strict.json")
    write("rows.jsonl", [{**PAIRS[0], "response": ""}, *PAIRS[1:]])
    code, _, err = cli("edit", tiny, "--recipe", "strict.json", "--general", rows, "--samples", 16, "-o", "other")
    assert code == 1
    assert "Row 0 of the calibration set 'general' gives no example: its response is empty" in " ".join(err.split())
    Path("strict.toml").write_text('strict_rows = true\ngeneral = "rows.jsonl"\nsamples = 16\n')
    assert cli("edit", tiny, "--recipe", "strict.toml", *EDIT)[0] == 1


ALPACA = [{"instruction": f"Say {n}.", "input": f"word {n}" * (n % 2), "output": f"{n}"} for n in range(16)]


def test_a_column_of_the_prompt_that_is_not_read_is_named_with_its_count(shown, own_folder):
    write("a.json", ALPACA)
    said = " ".join(shown("a.json#prompt=instruction,response=output").split())
    assert "the column 'input' has content in 8 of 16 rows and is not read (#prompt=COLUMN+input reads it)" in said
    for spec in ("a.json", "a.json#prompt=instruction+input,response=output"):
        said = " ".join(shown(spec).split())
        assert "is not read" not in said
        assert "Say 1.↵ ↵ word 1" in said or "Say 1.\\n\\nword 1" in said or "Say 1. word 1" in said


YO = {"role": "assistant", "content": "Yo"}


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, YO]},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "model", "content": "Yo"}]},
        {"prompt": [{"role": "user", "content": "Hi"}], "completion": [YO]},
        {"prompt": "Hi", "completion": "Yo"},
        {"conversation": [{"from": "human", "value": "Hi"}, {"from": "chatgpt", "value": "Yo"}]},
    ],
)
def test_every_spelling_of_a_conversation_reaches_the_model_alike(shown, own_folder, row):
    plain = shown(write("rows.jsonl", [{"prompt": "Hi", "response": "Yo"}] * 4), 4)
    assert shown(write("rows.jsonl", [row] * 4), 4) == plain
    assert "Hi[Y][o]" in plain
