"""Data sets of the Hub, with the real clients against a Hub on this machine, in processes of their own."""

import json
from pathlib import Path

import pandas
import pytest
import server
from test_resolve import RATIOS

pytestmark = pytest.mark.moderate

ROWS = [{"prompt": f"question {n}", "response": f"answer {n}"} for n in range(40)]

READ = """
import json, sys
from spin_hub.data.sampling import Sampling, read_sample
from spin_hub.errors import SpinHubError
from spin_hub.hub.resolve import resolve_dataset

def outcome(spec):
    try:
        sample = read_sample("mine", spec, Sampling(2, 0), resolve_dataset)
    except SpinHubError as error:
        return {"type": type(error).__name__, "message": error.message, "hint": error.hint, "exit": error.exit_code}
    ref = sample.dataset
    return {"source": sample.source, "licence": sample.licence, "rows": [vars(row) for row in sample.rows],
            "available": sample.available, "commit": ref.commit, "dataset_id": ref.dataset_id}

print(json.dumps([outcome(spec) for spec in sys.argv[1:]]))
"""


def repo(hub, folder: Path, name: str, files: dict[str, list[dict]], card: str | None = None, **more) -> str:
    """Publishes a data set and gives its commit; ``card`` is the metadata of its README."""
    place = folder / "hub" / name
    for file, rows in files.items():
        path = place / file
        path.parent.mkdir(parents=True, exist_ok=True)
        match path.suffix:
            case ".csv":
                pandas.DataFrame(rows).to_csv(path, index=False)
            case ".parquet":
                pandas.DataFrame(rows).to_parquet(path)
            case _:
                path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    place.mkdir(parents=True, exist_ok=True)
    if card is not None:
        (place / "README.md").write_text(f"---\n{card}\n---\nA data set.\n")
    return hub.put(name, place, "dataset", **more)


def read(visitor, *specs: str, **more: str) -> list[dict]:
    return json.loads(visitor.python(READ, *specs, **more))


CONFIGS = """license: [mit, cc-by-4.0]
configs:
- config_name: en
  data_files:
  - {split: train, path: en.jsonl}
- config_name: de
  data_files:
  - {split: train, path: de.jsonl}
  - {split: test_1, path: test.jsonl}"""


def test_data_sets_are_read_at_their_commit(hub, visitor, tmp_path):
    commit = repo(hub, tmp_path, "org/lines", {"train.jsonl": ROWS}, "license: cc-by-4.0")
    repo(hub, tmp_path, "org/table", {"data/train.csv": ROWS, "data/test.csv": ROWS[:9]})
    pairs = [{"q": row["prompt"], "a": row["response"]} for row in ROWS]
    arrows_at = repo(hub, tmp_path, "org/arrows", {"train.parquet": pairs})
    talks = [
        {"messages": [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]}
        for row in ROWS
    ]
    repo(hub, tmp_path, "org/talks", {"train.parquet": talks}, "license: other")
    files = {"en.jsonl": ROWS, "de.jsonl": ROWS, "test.jsonl": ROWS[:5]}
    many_at = repo(hub, tmp_path, "org/many", files, CONFIGS)
    specs = ["org/lines", f"org/lines@{commit}", "org/table/test", "org/arrows#prompt=q,response=a", "org/talks"]
    lines, pinned, table, arrows, talks, many = read(visitor, *specs, "org/many@main:de/test_1")
    assert lines["source"] == f"org/lines@{commit}"
    assert (lines["licence"], lines["commit"], lines["dataset_id"]) == ("cc-by-4.0", commit, "org/lines")
    assert lines == pinned
    assert all(ROWS[row["number"]] == {key: row[key] for key in ROWS[0]} for row in lines["rows"])
    assert lines["rows"] == arrows["rows"] == talks["rows"]
    assert (table["available"], table["licence"], many["available"]) == (9, "unknown", 5)
    assert (many["source"], many["licence"]) == (f"org/many@{many_at}:de/test_1", "mit, cc-by-4.0")
    assert arrows["source"] == f"org/arrows@{arrows_at}#prompt=q,response=a"


def test_cells_of_csv_are_text_as_written(hub, visitor, tmp_path):
    cells = ["007", "3.10", "True", "NA"]
    repo(hub, tmp_path, "org/table", {"train.csv": [{"prompt": "a", "response": cell} for cell in cells * 2]})
    [online] = read(visitor, "org/table")
    [offline] = read(visitor, "org/table", HF_HUB_OFFLINE="1")
    expected = [cells[row["number"] % 4] for row in online["rows"]]
    assert [row["response"] for row in online["rows"]] == expected
    assert offline == online


def test_data_sets_that_cannot_be_had_are_one_sentence(hub, visitor, tmp_path):
    repo(hub, tmp_path, "org/lines", {"train.jsonl": ROWS})
    repo(hub, tmp_path, "org/closed", {"train.jsonl": ROWS}, "license: mit", gated=True)
    repo(hub, tmp_path, "org/many", {"en.jsonl": ROWS, "de.jsonl": ROWS, "test.jsonl": ROWS}, CONFIGS)
    repo(hub, tmp_path, "org/blank", {"train.jsonl": [*ROWS[:1], {"prompt": "a", "response": ""}]})
    repo(hub, tmp_path, "org/numbers", {"train.jsonl": [{"prompt": "a", "response": 1}] * 2})
    repo(hub, tmp_path, "org/nothing", {}, "license: mit")
    hub.put("org/broken", {"train.jsonl": "{"}, "dataset")
    repo(hub, tmp_path, "org/script", {"script.py": []})
    expected = {
        "org/closed": ("AccessDenied", "gated"),
        "org/gone": ("DatasetNotFound", "no such data set"),
        "org/lines@v9": ("DatasetNotFound", "no such revision"),
        "org/lines/test": ("SourceError", "it has no split 'test' (it has: train)"),
        "org/lines:de": ("SourceError", "de"),
        "org/many": ("SourceError", "['en', 'de']"),
        "org/many:en/test_1": ("SourceError", "it has no split 'test_1' (it has: train)"),
        "org/lines#prompt=question": ("MissingColumns", "'question' (it has: prompt, response)"),
        "org/blank": ("TooFewRows", "1 usable rows of 2"),
        "org/numbers": ("SourceError", "none of its 2 rows gives an example: response is not text"),
        "org/nothing": ("SourceError", "cannot be read"),
        "org/broken": ("SourceError", "cannot be read"),
        "org/script": ("SourceError", "script"),
        "a--b/name": ("DatasetNotFound", "not a name"),
    }
    for (spec, (kind, said)), error in zip(expected.items(), read(visitor, *expected), strict=True):
        assert error.get("type") == kind, (spec, error)
        assert said in error["message"]
        assert error["exit"] == 1
        for unwanted in ("\n", ". ", str(tmp_path)):
            assert unwanted not in error["message"]
    [closed] = read(visitor, "org/closed")
    assert f"{hub.url}/datasets/org/closed" in closed["hint"]


def test_without_the_hub_the_cache_gives_the_same_commit_and_never_another(hub, visitor, tmp_path):
    old = repo(hub, tmp_path, "org/lines", {"train.jsonl": ROWS}, "license: mit")
    [online] = read(visitor, "org/lines")
    [offline] = read(visitor, "org/lines", HF_HUB_OFFLINE="1")
    assert offline == online
    assert (offline["commit"], offline["licence"]) == (old, "mit")

    replies = [{**row, "response": row["response"].replace("answer", "reply")} for row in ROWS]
    new = repo(hub, tmp_path, "org/lines", {"train.jsonl": replies}, "license: mit")
    [moved] = read(visitor, "org/lines")
    assert (moved["commit"], moved["rows"][0]["response"][:5]) == (new, "reply")
    newest, older, never, unknown = read(
        visitor, "org/lines", f"org/lines@{old}", f"org/lines@{'c' * 40}", "org/gone", HF_HUB_OFFLINE="1"
    )
    assert newest == moved
    assert older["type"] == never["type"] == unknown["type"] == "HubUnreachable"
    assert old in older["message"]
    # The client tries again for half a minute after a 500.
    hub.fail(server.Fault("*", 501, times=None))
    assert read(visitor, "org/lines") == [moved]


def test_an_edit_with_a_recipe_and_a_data_set_records_them(hub, visitor, tiny, tmp_path):
    labels = ("privacy_violation", "discrimination,stereotype,injustice")
    category = [dict.fromkeys(labels, False) | {labels[0]: n % 2 == 0} for n in range(40)]
    rows = [{**row, "category": category[n], "is_safe": n % 2 == 1} for n, row in enumerate(ROWS)]
    card = (
        "license: cc-by-nc-4.0\nconfigs:\n- config_name: default\n  data_files:\n  - {split: 330k_train, path: a.jsonl}"
    )
    beavers_at = repo(hub, tmp_path, "PKU-Alignment/BeaverTails", {"a.jsonl": rows}, card)
    repo(hub, tmp_path, "org/lines", {"train.jsonl": ROWS}, "license: mit")
    options = ("--privacy", "beavertails:privacy-unsafe", "--fairness", "org/lines", "-o", "out")
    done = visitor.finish(visitor.start("edit", tiny, *RATIOS, *options, who=None))
    assert done.code == 0, done.stderr
    record = json.loads((tmp_path / "out" / "spin" / "spin.json").read_text())
    sets = {entry["name"]: entry for entry in record["recipe"]["scoring"]["sets"]}
    privacy, fairness = sets["privacy"], sets["fairness"]
    assert privacy["source"] == f"beavertails:privacy-unsafe@{beavers_at}"
    assert (privacy["dataset_id"], privacy["commit"]) == ("PKU-Alignment/BeaverTails", beavers_at)
    assert (privacy["licence"], privacy["rows"], privacy["used"]) == ("cc-by-nc-4.0", 20, 2)
    assert (fairness["dataset_id"], fairness["licence"], fairness["rows"]) == ("org/lines", "mit", 40)
    assert sets["general"]["dataset_id"] is None
    card = (tmp_path / "out" / "README.md").read_text()
    assert "PKU-Alignment/BeaverTails" in card
    assert "cc-by-nc-4.0" in card


def test_a_data_set_is_read_from_its_own_files_alone(hub, visitor, tmp_path):
    secret = tmp_path / "secret.jsonl"
    secret.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    repo(hub, tmp_path, "org/other", {"train.jsonl": ROWS})
    places = {
        "path": str(secret), "file": f"file://{secret}", "glob": f"{tmp_path}/*.jsonl", "up": "../../../secret.jsonl",
        "repo": "hf://datasets/org/other/train.jsonl",
        "address": f"{hub.url}/datasets/org/other/resolve/main/train.jsonl",
    }  # fmt: skip
    for name, place in places.items():
        card = f"configs:\n- config_name: default\n  data_files:\n  - {{split: train, path: '{place}'}}"
        repo(hub, tmp_path, f"org/{name}", {"own.jsonl": ROWS[:3]}, card)
    for name, found in zip(places, read(visitor, *(f"org/{name}" for name in places)), strict=True):
        assert found.get("exit") == 1, (name, found)
        assert found["message"].startswith("The calibration set"), (name, found)


LOCKED = """
import sys
from unittest.mock import patch
import datasets.builder

cache = str(datasets.config.HF_DATASETS_CACHE)

class Lock(datasets.builder.FileLock):
    def _acquire(self):
        if str(self.lock_file).startswith(cache):
            raise PermissionError(13, "Permission denied", str(self.lock_file))
        super()._acquire()

datasets.builder.FileLock = Lock
"""


@pytest.mark.parametrize("offline", ["0", "1"])
def test_a_read_only_cache_of_data_sets_is_read(hub, visitor, tmp_path, offline):
    """Simulated by its locks, since the tests may be run by an administrator, for whom no folder is read-only."""
    repo(hub, tmp_path, "org/lines", {"train.jsonl": ROWS}, "license: mit")
    repo(hub, tmp_path, "org/other", {"train.jsonl": ROWS}, "license: mit")
    [before] = read(visitor, "org/lines")
    again, fresh = json.loads(visitor.python(LOCKED + READ, "org/lines", "org/other", HF_HUB_OFFLINE=offline))
    assert again == before
    if offline == "0":
        assert fresh["rows"] == before["rows"]
    else:
        assert fresh["type"] == "HubUnreachable"
