"""Tables whose columns claim to be images, sounds and the like: nothing that they name is opened."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spin_hub.data.sampling import Sampling, read_sample
from spin_hub.data.texts import read_text
from spin_hub.errors import SourceError, TextError

TYPES = ("Image", "Audio", "Video", "Pdf", "Nifti", "Mesh")
STRUCT = pa.struct({"bytes": pa.binary(), "path": pa.string()})
WATCHED = """
import sys
from spin_hub.data.sampling import Sampling, read_sample
from spin_hub.data.texts import read_text
from spin_hub.errors import SourceError, TextError

def audit(event, values):
    if event in ("socket.connect", "socket.getaddrinfo") or (event == "open" and "secret" in str(values[0])):
        print("TOUCHED", event, values[0])

sys.addaudithook(audit)
for path in sys.argv[1:]:
    try:
        read_sample("set", path, Sampling(2), None)
    except SourceError as error:
        print(type(error).__name__)
    try:
        read_text(path, None)
    except TextError as error:
        print(type(error).__name__)
"""


def table(path, column, claim, name="prompt"):
    """A Parquet file with a column that claims to be something."""
    features = {name: claim, "response": {"dtype": "string", "_type": "Value"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    rows = pa.table({name: column, "response": ["a"] * len(column)})
    pq.write_table(rows.replace_schema_metadata(metadata), path)
    return str(path)


def media(place):
    return pa.array([{"bytes": None, "path": place}, {"bytes": b"x", "path": place}] * 2, STRUCT)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_a_row_of_media_is_no_text(tmp_path, kind, nested):
    column, claim = media("secret"), {"_type": kind}
    if nested:
        column, claim = pa.array([[entry] for entry in column], pa.list_(STRUCT)), {"_type": "List", "feature": claim}
    with pytest.raises(SourceError):
        read_sample("set", table(tmp_path / "rows.parquet", column, claim), Sampling(2), None)


def test_nothing_that_a_table_names_is_opened(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"x")
    paths = [
        table(tmp_path / f"{kind}-{number}-{name}.parquet", media(place), {"_type": kind}, name)
        for kind in TYPES
        for number, place in enumerate((str(secret), "http://127.0.0.1:9/secret.png", "hf://datasets/org/secret/x"))
        for name in ("prompt", "text")
    ]
    done = subprocess.run([sys.executable, "-c", WATCHED, *paths], capture_output=True, text=True, cwd=tmp_path,
                          timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = done.stdout.split("\n")
    assert not [line for line in said if line.startswith("TOUCHED")]
    assert len(said) > len(paths)


def test_a_text_is_a_text_whatever_it_is_called(tmp_path):
    texts = pa.array(["a", "b", "c", "d"])
    found = read_sample("set", table(tmp_path / "rows.parquet", texts, {"_type": "Value", "dtype": "string"}),
                        Sampling(2), None)  # fmt: skip
    assert {row.prompt for row in found.rows} < {"a", "b", "c", "d"}


@pytest.mark.parametrize("values", [["{", "b"], ['{"a": 1}', "[]"]])
def test_json_that_is_no_text_is_refused(tmp_path, values):
    path = table(tmp_path / "rows.parquet", pa.array(values), {"_type": "Json"})
    try:
        found = read_sample("set", path, Sampling(2), None)
    except SourceError:
        return
    assert {row.prompt for row in found.rows} == set(values)


STRANGE = [
    7, [], "x", {"prompt": {"_type": "List"}}, {"prompt": {"_type": "object"}}, {"other": {"_type": "Value"}},
    {"prompt": {"_type": "Value", "dtype": "nothing"}},
]  # fmt: skip


@pytest.mark.parametrize("features", STRANGE)
def test_a_table_that_says_strange_things_of_its_columns_is_refused(tmp_path, features):
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    rows = pa.table({"prompt": ["a", "b"], "response": ["c", "d"]}).replace_schema_metadata(metadata)
    pq.write_table(rows, tmp_path / "rows.parquet")
    try:
        found = read_sample("set", str(tmp_path / "rows.parquet"), Sampling(2), None)
    except SourceError:
        return
    assert {row.prompt for row in found.rows} == {"a", "b"}


def test_running_text_of_another_type_is_refused(tmp_path):
    path = table(tmp_path / "rows.parquet", pa.array([1, 2]), {"_type": "Value", "dtype": "int64"}, "text")
    with pytest.raises(TextError, match="something else than text"):
        read_text(path, None)
    with pytest.raises(SourceError, match="prompt is not text"):
        read_sample("set", table(tmp_path / "b.parquet", media("secret"), {"_type": "Image"}), Sampling(2), None)
