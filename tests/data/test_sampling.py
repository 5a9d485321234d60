"""Samples: which rows are drawn, which are left out, and what is said of them."""

import csv
import json
from collections import Counter

import datasets
import numpy as np
import pandas
import pyarrow as pa
import pytest

from spin_hub.data.builtin import builtin_rows
from spin_hub.data.formats import arrow_table
from spin_hub.data.sampling import Sampling
from spin_hub.data.sampling import read_sample as read
from spin_hub.errors import BadRow, HubUnreachable, MissingColumns, SourceError, TooFewRows
from spin_hub.record import DatasetRef

ROWS = [{"prompt": f"question {n}", "response": f"answer {n}"} for n in range(40)]


def no_hub(dataset_id, revision):
    raise HubUnreachable(model=dataset_id, why="these tests have no Hub")


def read_sample(name, spec, samples, seed):
    return read(name, spec, Sampling(samples, seed), no_hub)


def write(path, rows=ROWS):
    match path.suffix:
        case ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".parquet":
            pandas.DataFrame(rows).to_parquet(path)
    return str(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_files_give_the_same_sample_as_datasets(tmp_path, suffix):
    sample = read_sample("mine", write(tmp_path / f"data{suffix}"), 8, 3)
    expected = datasets.Dataset.from_list(ROWS).shuffle(seed=3).select(range(8))
    assert [(row.prompt, row.response) for row in sample.rows] == [(r["prompt"], r["response"]) for r in expected]
    assert [row.number for row in sample.rows] == np.random.default_rng(3).permutation(40)[:8].tolist()
    assert (sample.available, sample.source, sample.licence) == (40, f"data{suffix}", "unknown")


def test_the_source_is_a_name_and_never_a_path(tmp_path):
    folder = tmp_path / "secret place"
    folder.mkdir()
    assert "secret" not in read_sample("mine", write(folder / "data.csv"), 4, 0).source


def test_other_columns_are_named_in_the_spec(tmp_path):
    rows = [{"question": row["prompt"], "answer": row["response"], "more": 1} for row in ROWS]
    spec = write(tmp_path / "data.csv", rows) + "#prompt=question,response=answer"
    assert (
        read_sample("mine", spec, 40, 0).fingerprint == read_sample("m", write(tmp_path / "b.csv"), 40, 0).fingerprint
    )


def test_the_same_seed_gives_the_same_sample_and_another_seed_another(tmp_path):
    spec = write(tmp_path / "data.csv")
    first, again, other = (read_sample("mine", spec, 8, seed).fingerprint for seed in (0, 0, 1))
    assert first == again != other


def test_words_for_missing_values_are_text(tmp_path):
    rows = [{"prompt": "None", "response": "NA"}, {"prompt": "null", "response": "nan"}]
    sample = read_sample("mine", write(tmp_path / "data.csv", rows), 2, 0)
    assert {row.response for row in sample.rows} == {"NA", "nan"}


def test_sampling_a_builtin_set_sees_its_calibration_split_only():
    sample = read_sample("privacy", "builtin:privacy", None, 0)
    assert len(sample.rows) == sample.available == len(builtin_rows("privacy", "calibration"))
    assert sample.licence == "CC0-1.0"
    assert {row.prompt for row in sample.rows} == {row.prompt for row in builtin_rows("privacy", "calibration")}
    numbers = {row.number: row.prompt for row in builtin_rows("privacy", "calibration")}
    assert all(numbers[row.number] == row.prompt for row in sample.rows)


def test_a_file_defaults_to_128_examples(tmp_path):
    with pytest.raises(TooFewRows, match="40 rows, but 128"):
        read_sample("mine", write(tmp_path / "data.csv"), None, 0)


def test_too_few_rows(tmp_path):
    rows = len(builtin_rows("general", "calibration"))
    with pytest.raises(TooFewRows, match=f"has {rows} rows, but {rows + 1}"):
        read_sample("general", "builtin:general", rows + 1, 0)


def test_sources_that_are_not_there():
    with pytest.raises(SourceError, match="no such file"):
        read_sample("mine", "nowhere.csv", 1, 0)
    with pytest.raises(SourceError, match="fairness, general, privacy"):
        read_sample("mine", "builtin:kindness", 1, 0)


def test_missing_columns_name_those_that_are_there(tmp_path):
    with pytest.raises(MissingColumns, match=r"'answer' \(it has: prompt, response\)"):
        read_sample("mine", write(tmp_path / "data.csv") + "#response=answer", 1, 0)
    with pytest.raises(SourceError, match="reply=x"):
        read_sample("mine", write(tmp_path / "data.csv") + "#reply=x", 1, 0)


UNUSABLE = {3: "", 7: "   ", 9: None, 11: 5}
FAULTY = [{**row, "response": UNUSABLE.get(n, row["response"])} for n, row in enumerate(ROWS)]
REASONS = {"response is empty": 2, "response is missing": 1, "response is not text": 1}


def test_unusable_rows_are_left_out_and_the_next_ones_taken(tmp_path):
    spec = write(tmp_path / "data.jsonl", FAULTY)
    sample = read_sample("mine", spec, 36, 3)
    order = [n for n in np.random.default_rng(3).permutation(40).tolist() if n not in UNUSABLE]
    assert [row.number for row in sample.rows] == order
    assert (sample.left_out, sample.available) == (REASONS, 40)
    assert sample.notes == (
        "The calibration set 'mine': 4 of 40 drawn rows are left out (response is empty: 2, response is missing: 1, "
        "response is not text: 1), and the next ones taken; --strict-rows refuses them.",
    )


def test_one_row_that_is_left_out_is_said_of_one(tmp_path):
    faulty = [{**row, "response": "" if n == 3 else row["response"]} for n, row in enumerate(ROWS)]
    [note] = read_sample("mine", write(tmp_path / "data.jsonl", faulty), 39, 3).notes
    assert "1 of 40 drawn rows is left out (response is empty: 1)" in note


def test_rows_that_are_not_drawn_are_not_counted(tmp_path):
    order = np.random.default_rng(3).permutation(40).tolist()
    faulty = [{**row, "response": "" if n == order[-1] else row["response"]} for n, row in enumerate(ROWS)]
    sample = read_sample("mine", write(tmp_path / "data.jsonl", faulty), 8, 3)
    assert sample.rows == read_sample("mine", write(tmp_path / "clean.jsonl"), 8, 3).rows
    assert (sample.left_out, sample.notes) == ({}, ())


def test_strict_rows_are_refused_with_their_numbers_and_reasons(tmp_path):
    spec = write(tmp_path / "data.jsonl", FAULTY)
    with pytest.raises(BadRow, match="4 rows .* row 3 .its response is empty., row 7 .*row 9 .its response is missing"):
        read("mine", spec, Sampling(36, 3, strict=True), no_hub)
    one = write(tmp_path / "one.jsonl", [*ROWS[:3], {"prompt": " ", "response": "b"}])
    with pytest.raises(
        BadRow, match="^Row 3 of the calibration set 'mine' gives no example: its prompt is empty. Mend"
    ):
        read("mine", one, Sampling(4, 0, strict=True), no_hub)
    assert len(read("mine", write(tmp_path / "clean.jsonl"), Sampling(36, 3, strict=True), no_hub).rows) == 36


def test_too_few_usable_rows_are_one_sentence(tmp_path):
    with pytest.raises(TooFewRows, match="36 usable rows of 40, but 37 .*left out: response is empty: 2") as caught:
        read_sample("mine", write(tmp_path / "data.jsonl", FAULTY), 37, 0)
    assert "at most 36" in caught.value.hint
    nothing = [{"prompt": "a", "response": None}, {"prompt": "a", "response": " "}]
    with pytest.raises(
        SourceError, match="none of its 2 rows gives an example: response is empty: 1, response is missing: 1"
    ):
        read_sample("mine", write(tmp_path / "none.jsonl", nothing), 1, 0)


def test_columns_of_the_prompt_that_are_not_read_are_named_with_their_count(tmp_path):
    rows = [
        {"prompt": "a", "response": "b", "context": ("text", "", " ", None)[n % 4], "system": "Be brief."}
        for n in range(8)
    ]
    sample = read_sample("mine", write(tmp_path / "data.jsonl", rows), 4, 0)
    assert [note.partition(": ")[2] for note in sample.notes] == [
        "the column 'system' has content in 8 of 8 rows and is not read (#system=system reads it).",
        "the column 'context' has content in 2 of 8 rows and is not read (#prompt=COLUMN+context reads it).",
    ]
    spec = write(tmp_path / "data.parquet", rows) + "#prompt=prompt+context,response=response,system=system"
    joined = read("mine", spec, Sampling(8, 0, system=True), no_hub)
    assert Counter(row.prompt for row in joined.rows) == {"a": 6, "a\n\ntext": 2}
    assert ({row.system for row in joined.rows}, joined.notes) == ({"Be brief."}, ())


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_no_way_to_read_a_column_is_named_that_cannot_be_read_as_text(tmp_path, ending):
    rows = [{"prompt": "a", "response": "b", "history": [["c", "d"]] if n == 3 else []} for n in range(8)]
    [note] = read_sample("mine", write(tmp_path / f"data.{ending}", rows), 4, 0).notes
    assert note.endswith("the column 'history' has content in 1 of 8 rows and is not read.")


def test_system_messages_are_kept_for_a_chat_template_and_otherwise_counted(tmp_path):
    talks = [
        {"messages": [*([said("system", "Be brief.")] * (n % 2)), said("user", "a"), said("assistant", "b")]}
        for n in range(4)
    ]
    spec = write(tmp_path / "talks.jsonl", talks)
    raw, kept = (read("mine", spec, Sampling(4, 0, system=system), no_hub) for system in (False, True))
    assert {row.system for row in raw.rows} == {""}
    assert raw.notes == (
        "The calibration set 'mine': 2 of 4 rows have a system message, which is read with --chat-template alone.",
    )
    assert sorted(row.system for row in kept.rows) == ["", "", "Be brief.", "Be brief."]
    assert kept.notes == ()
    assert raw.fingerprint != kept.fingerprint


def test_later_turns_are_counted(tmp_path):
    talk = [said("user", "a"), said("assistant", "b"), said("user", "c"), said("assistant", "d")]
    spec = write(tmp_path / "talks.jsonl", [{"messages": talk}, {"messages": talk[:2]}])
    sample = read_sample("mine", spec, 2, 0)
    assert {(row.prompt, row.response) for row in sample.rows} == {("a", "b")}
    assert sample.notes[0].endswith(
        "1 of 2 conversations has more turns; the first answer counts, others are not read."
    )


def said(speaker, text, keys=("role", "content")):
    return dict(zip(keys, (speaker, text), strict=True))


@pytest.mark.parametrize(
    ("column", "user", "assistant", "keys"),
    [
        ("messages", "user", "assistant", ("role", "content")),
        ("conversations", "human", "gpt", ("from", "value")),
    ],
)
def test_conversations_are_sampled_as_pairs_are(tmp_path, column, user, assistant, keys):
    def talk(n):
        return [
            said("system", "Be brief.", keys),
            said(user, f"question {n}", keys),
            said(assistant, f"answer {n}", keys),
            said(user, "More?", keys),
        ]

    rows = [{"prompt": "not a pair", column: talk(n)} for n in range(40)]
    sample = read_sample("mine", write(tmp_path / "talks.jsonl", rows), 8, 3)
    assert sample.fingerprint == read_sample("mine", write(tmp_path / "data.csv"), 8, 3).fingerprint


def test_columns_that_are_named_win_over_conversations(tmp_path):
    rows = [{"q": "a", "a": "b", "messages": [said("user", "c"), said("assistant", "d")]}]
    sample = read_sample("mine", write(tmp_path / "both.jsonl", rows) + "#prompt=q,response=a", 1, 0)
    assert sample.rows[0].prompt == "a"


def test_one_column_may_be_both(tmp_path):
    sample = read_sample("mine", write(tmp_path / "data.csv") + "#response=prompt", 40, 0)
    assert all(row.prompt == row.response for row in sample.rows)


def test_the_hub_is_asked_for_a_recipe_and_for_a_data_set_only():
    for spec in ("org/name", "beavertails:privacy-safe"):
        with pytest.raises(HubUnreachable, match="no Hub"):
            read_sample("mine", spec, 1, 0)
    with pytest.raises(SourceError, match="the recipes are beavertails:fairness-safe, "):
        read_sample("mine", "beavertails:kindness", 1, 0)


def test_a_split_of_a_local_folder_is_no_recipe(own_folder):
    (own_folder / "rows").mkdir()
    with pytest.raises(SourceError, match="rows is a folder here, and takes no config or split") as error:
        read_sample("mine", "rows:train", 1, 0)
    assert "rows/train-*" in error.value.hint


def on_the_hub(monkeypatch, rows):
    """Let every data set be this table, and return the list of those that are read."""
    asked = []

    def read_dataset(spec, ref):
        asked.append((spec.target, spec.config, spec.split, ref.commit))
        return arrow_table(pa.Table.from_pylist(rows))

    monkeypatch.setattr("spin_hub.data.sources.read_dataset", read_dataset)
    return asked


def resolve(dataset_id, revision):
    return DatasetRef(dataset_id, revision or "c" * 40, "cc-by-4.0")


def test_a_recipe_is_read_at_a_commit_and_sampled_from_its_own_rows(monkeypatch):
    rows = [{"instruction": f"Do {n}", "input": "", "output": ("Kill!", "Sing!")[n % 2]} for n in range(40)]
    asked = on_the_hub(monkeypatch, rows)
    sample = read("mine", "alpaca-cleaned:no-safety", Sampling(8, 3), resolve)
    assert asked == [("yahma/alpaca-cleaned", None, "train", "c" * 40)]
    expected = datasets.Dataset.from_list(rows[1::2]).shuffle(seed=3).select(range(8))
    assert [row.prompt for row in sample.rows] == expected["instruction"][:]
    assert all(row.prompt == f"Do {row.number}" for row in sample.rows)
    assert (sample.available, sample.licence) == (20, "cc-by-4.0 (disputed)")
    assert sample.source == "alpaca-cleaned:no-safety@" + "c" * 40
    again = read("mine", sample.source, Sampling(8, 3), resolve)
    assert again == sample


@pytest.mark.parametrize(
    ("row", "error", "said"),
    [
        ({"prompt": "a", "response": "b"}, MissingColumns, "'category' "),
        ({"prompt": "a", "response": "b", "category": "c", "is_safe": True}, SourceError, "not of the kind"),
        (
            {"prompt": "a", "response": "b", "category": {"other": True}, "is_safe": True},
            SourceError,
            "not of the kind",
        ),
    ],
)
def test_a_recipe_refuses_a_data_set_of_another_form(monkeypatch, row, error, said):
    on_the_hub(monkeypatch, [row])
    with pytest.raises(error, match=said) as caught:
        read("mine", "beavertails:privacy-safe", Sampling(1, 0), resolve)
    assert "\n" not in caught.value.message
