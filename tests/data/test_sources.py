import csv
import json

import datasets
import numpy as np
import pandas
import pytest

from spin_hub.data.builtin import builtin_rows
from spin_hub.data.sources import Sampling
from spin_hub.data.sources import read_sample as read
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


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("data.csv", "", "empty"),
        ("data.csv", "prompt,response\n", "no rows"),
        ("data.jsonl", "{", "cannot be read"),
        ("data.parquet", "not parquet", "cannot be read"),
        ("data.txt", "text", "not a known kind"),
        ("data.csv", '"a', "cannot be read"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(SourceError, match=said) as caught:
        read_sample("mine", str(tmp_path / name), 1, 0)
    assert "\n" not in caught.value.message


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


def test_a_row_that_is_no_text_is_named(tmp_path):
    rows = [{"prompt": "a", "response": "b"}, {"prompt": "c", "response": None}]
    with pytest.raises(BadRow, match="Row 1 .*response"):
        read_sample("mine", write(tmp_path / "data.jsonl", rows), 2, 0)
    numbers = [{"prompt": 1, "response": "b"}]
    with pytest.raises(BadRow, match="Row 0 .*prompt"):
        read_sample("mine", write(tmp_path / "numbers.jsonl", numbers), 1, 0)
    blank = [{"prompt": "a", "response": " "}]
    with pytest.raises(BadRow, match="Row 0 .*response is empty"):
        read_sample("mine", write(tmp_path / "blank.csv", blank), 1, 0)


def said(speaker, text, keys=("role", "content")):
    return dict(zip(keys, (speaker, text), strict=True))


@pytest.mark.parametrize(
    ("column", "user", "assistant", "keys"),
    [
        ("messages", "user", "assistant", ("role", "content")),
        ("conversations", "human", "gpt", ("from", "value")),
    ],
)
def test_conversations_stand_in_for_prompt_and_response(tmp_path, column, user, assistant, keys):
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


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([said("system", "Be brief.")], "no message of a user"),
        ([], "no message of a user"),
        ([said("user", "a")], "no message of the assistant"),
        ([said("user", "a"), said("user", "b")], "no message of the assistant"),
        ([said("user", "a"), said("assistant", "")], "response is empty"),
    ],
)
def test_conversations_without_a_pair_are_named(tmp_path, messages, why):
    rows = [{"messages": [said("user", "a"), said("assistant", "b")]}, {"messages": messages}]
    with pytest.raises(BadRow, match=f"Row 1 .*{why}"):
        read_sample("mine", write(tmp_path / "talks.jsonl", rows), 2, 0)


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


def on_the_hub(monkeypatch, table):
    """Lets every data set be this table, and tells what was asked for."""
    asked = []

    def load_dataset(dataset_id, config, split, revision, keep_in_memory):
        asked.append((dataset_id, config, split, revision))
        return table

    monkeypatch.setattr("spin_hub.data.sources.datasets.load_dataset", load_dataset)
    return asked


def resolve(dataset_id, revision):
    return DatasetRef(dataset_id, revision or "c" * 40, "cc-by-4.0")


def test_a_recipe_is_read_at_a_commit_and_sampled_from_its_own_rows(monkeypatch):
    rows = [{"instruction": f"Do {n}", "input": "", "output": ("Kill!", "Sing!")[n % 2]} for n in range(40)]
    asked = on_the_hub(monkeypatch, datasets.Dataset.from_list(rows))
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
    on_the_hub(monkeypatch, datasets.Dataset.from_list([row]))
    with pytest.raises(error, match=said) as caught:
        read("mine", "beavertails:privacy-safe", Sampling(1, 0), resolve)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "raw"), [("a.jsonl", b'{"prompt": "\x99", "response": "b"}\n'), ("a.csv", b"prompt,response\n\x99,b\n")]
)
def test_bytes_that_are_no_text_are_found_before_a_row_is_read(tmp_path, name, raw):
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(SourceError, match="cannot be read"):
        read_sample("mine", str(tmp_path / name), 1, 0)
