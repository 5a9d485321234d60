"""Files as people keep them: every kind with every form of data, and what is said of those that cannot be read."""

import bz2
import csv
import gzip
import io
import json
import re

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spin_hub.data.files import read_table
from spin_hub.data.formats import READERS
from spin_hub.data.questions import read_questions
from spin_hub.data.rows import FORMS, known_columns
from spin_hub.data.sampling import Sampling, read_sample
from spin_hub.data.spec import FILE_KINDS, Spec
from spin_hub.errors import LfsPointer, SourceError

PAIRS = [{"prompt": f"question {n}", "response": f"answer {n}"} for n in range(4)]
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 12345\n"


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def comma(rows, separator=","):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def arrow(path, rows):
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


WRITERS = {
    ".csv": lambda path, rows: path.write_text(comma(rows), "utf-8", newline=""),
    ".tsv": lambda path, rows: path.write_text(comma(rows, "\t"), "utf-8", newline=""),
    ".jsonl": lambda path, rows: path.write_text(lines(rows), "utf-8"),
    ".ndjson": lambda path, rows: path.write_text(lines(rows), "utf-8"),
    ".json": lambda path, rows: path.write_text(json.dumps(rows, indent=2), "utf-8"),
    ".parquet": lambda path, rows: pq.write_table(pa.Table.from_pylist(rows), path),
    ".arrow": arrow,
}


def table(path, suffix=""):
    return read_table(Spec("set", str(path) + suffix, "file", str(path)))


def refused(path):
    with pytest.raises(SourceError) as caught:
        table(path)
    assert "\n" not in caught.value.message
    assert str(path.parent) not in caught.value.facts["why"]
    return caught.value


def sampled(spec, count=4):
    """The pairs that a SPEC gives, in the order of the file."""
    rows = read_sample("set", str(spec), Sampling(count), None).rows
    return [(row.prompt, row.response) for row in sorted(rows, key=lambda row: row.number)]


def test_every_kind_has_a_reader():
    assert set(READERS) == set(FILE_KINDS) == set(WRITERS)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("suffix", FILE_KINDS)
def test_every_kind_of_file_is_read_in_every_form(tmp_path, suffix, form):
    entry = json.loads(form.example)
    path = tmp_path / f"rows{suffix}"
    talks = form.columns.conversation is not None
    if suffix in (".csv", ".tsv"):
        entry = {name: json.dumps(cell) if talks else cell for name, cell in entry.items()}
    WRITERS[suffix](path, [entry, entry])
    if talks and suffix in (".csv", ".tsv"):
        with pytest.raises(SourceError, match=f"column '{form.columns.conversation}' are JSON text.*JSON lines"):
            sampled(path, 2)
        return
    [first, second] = sampled(path, 2)
    assert first == second
    assert first[1] in ("Because.", "3", "A cat.")
    assert known_columns(table(path).column_names) == form.found_in(entry)


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "zst": lambda raw: pa.compress(raw, "zstd", asbytes=True)}


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".ndjson", ".json"])
def test_text_may_be_compressed(tmp_path, suffix, packer):
    WRITERS[suffix](tmp_path / f"rows{suffix}", PAIRS)
    path = tmp_path / f"more{suffix}.{packer}"
    path.write_bytes(PACKERS[packer]((tmp_path / f"rows{suffix}").read_bytes()))
    assert sampled(path) == [(row["prompt"], row["response"]) for row in PAIRS]
    path.write_bytes(b"not compressed")
    assert f"{path.name} cannot be read" in refused(path).message


# --- text as written ---------------------------------------------------------------------------------------

CELLS = [
    "007", "42", "3.10", "True", "False", "NA", "None", "null", "1e5", "2024-01-01", "inf", " x ", "a\nb", '"q"', "x,y",
]  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_cells_are_text_as_written(tmp_path, suffix):
    rows = [{"prompt": cell, "response": cell} for cell in CELLS]
    WRITERS[suffix](tmp_path / f"rows{suffix}", rows)
    assert sampled(tmp_path / f"rows{suffix}", len(CELLS)) == [(cell, cell) for cell in CELLS]


@pytest.mark.parametrize("first", ["007", "words"])
def test_cells_are_text_in_row_12000_as_in_row_3(tmp_path, first):
    cells = [first] * 10_000 + ["words", "007", "3.10"] * 700
    (tmp_path / "rows.csv").write_text("prompt,response\n" + "".join(f"a,{cell}\n" for cell in cells))
    assert table(tmp_path / "rows.csv")["response"] == cells


@pytest.mark.parametrize(("separator", "suffix"), [(",", ".csv"), (";", ".csv"), ("\t", ".csv"), ("\t", ".tsv")])
def test_separators_are_recognised(tmp_path, separator, suffix):
    rows = [{"Question, text": "Yes; no?", "answer": "Yes,\tno."}]
    (tmp_path / f"rows{suffix}").write_text(comma(rows, separator), newline="")
    spec = f'{tmp_path / "rows"}{suffix}#prompt="Question, text",response=answer'
    assert sampled(spec, 1) == [("Yes; no?", "Yes,\tno.")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json"])
def test_unicode_is_recognised(tmp_path, suffix, encoding):
    rows = [{"prompt": "Café, naïve?", "response": "Ja, schön: 漢字 😀"}] * 2
    WRITERS[suffix](tmp_path / f"rows{suffix}", rows)
    text = (tmp_path / f"rows{suffix}").read_bytes().decode("utf-8")
    (tmp_path / f"rows{suffix}").write_bytes(text.encode(encoding))
    assert sampled(tmp_path / f"rows{suffix}", 2) == [("Café, naïve?", "Ja, schön: 漢字 😀")] * 2


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_another_encoding_is_named(tmp_path, suffix):
    WRITERS[suffix](
        tmp_path / f"rows{suffix}", [{"prompt": "a", "response": "b"}, {"prompt": "Un café ?", "response": "b"}]
    )
    text = (tmp_path / f"rows{suffix}").read_text("utf-8")
    (tmp_path / f"rows{suffix}").write_bytes(text.encode("cp1252"))
    error = refused(tmp_path / f"rows{suffix}")
    assert "is not UTF-8 text; as Windows-1252 (Latin-1) it has" in error.message
    assert "café" in error.message
    assert f"iconv -f WINDOWS-1252 -t UTF-8 rows{suffix}" in error.hint
    assert "codec" not in str(error)


# --- JSON --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        lines(PAIRS),
        lines(PAIRS).replace("\n", "\r\n"),
        "\n\n" + lines(PAIRS).replace("\n", "\n\n"),
        "\ufeff" + lines(PAIRS),
        lines(PAIRS).rstrip(),
        json.dumps(PAIRS),
        "\n" * 9 + json.dumps(PAIRS, indent=1),
        "".join(json.dumps(row, indent=2) for row in PAIRS),
        json.dumps({"data": PAIRS}),
        json.dumps({"version": "1.0", "data": PAIRS}),
    ],
)
def test_json_is_read_however_it_is_laid_out(tmp_path, text):
    (tmp_path / "rows.json").write_text(text, "utf-8", newline="")
    assert sampled(tmp_path / "rows.json") == [(row["prompt"], row["response"]) for row in PAIRS]


def test_values_of_mixed_types_are_left_out_one_by_one(tmp_path):
    rows = [
        *PAIRS,
        {"prompt": 1, "response": "b"},
        {"prompt": "a"},
        {"prompt": "2024-01-01", "response": "a", "more": {}},
    ]
    (tmp_path / "rows.jsonl").write_text(lines(rows))
    sample = read_sample("set", str(tmp_path / "rows.jsonl"), Sampling(5), None)
    assert {row.prompt for row in sample.rows} == {*(row["prompt"] for row in PAIRS), "2024-01-01"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        (" \n\n\n \n ", "the file is empty"),
        ("[]", "it has no rows"),
        ("{", "line 1 of rows.json is not JSON"),
        (lines(PAIRS) + '{"prompt": "a"', "line 5 of rows.json is not JSON"),
        ("words", "line 1 of rows.json is not JSON"),
        ("[" * 100_000, "line 1 of rows.json is not JSON .a value is too deep"),
        ('{"a": ' + "9" * 5_000 + "}", "line 1 of rows.json is not JSON .a value is too deep or too long"),
        (json.dumps([["a", "b"], ["c", "d"]]), "the rows of rows.json are lists, not objects"),
        ('["a"]\n["b"]', "the rows of rows.json are texts, not objects"),
        ("1\n2", "the rows of rows.json are something else, not objects"),
        ("null\nnull", "the rows of rows.json are something else, not objects"),
        ("{}\n{}", "the rows of rows.json are something else, not objects"),
        (json.dumps({"prompt": ["a", "b"], "response": ["c", "d"]}), "rows.json is one row of lists"),
    ],
)
def test_json_of_another_shape_is_named(tmp_path, text, said):
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(SourceError, match=said):
        table(tmp_path / "rows.json")


# --- damaged and unknown files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.csv", "", "the file is empty"),
        ("rows.csv", "prompt,response\n", "it has no rows"),
        ("rows.csv", '"a', "quotes that open in row"),
        ("rows.csv", "a" * 200_000, "it has no rows"),
        (
            "rows.csv",
            "prompt,response\na,b\nc,d,e\n",
            "line 3 has 3 cells, not 2",
        ),
        ("rows.csv", "prompt,response\na,b,c\nd,e,f\n", "the rows of rows.csv have more cells than its header"),
        ("rows.parquet", "not parquet", "rows.parquet cannot be read"),
        ("rows.parquet", "PAR1" * 9, "rows.parquet cannot be read"),
        ("rows.arrow", "not arrow", "rows.arrow cannot be read"),
        ("rows.txt", "text", "^.txt is not a known kind of file"),
        ("rows.parquet.gz", "text", "^.gz is not a known kind of file"),
        ("rows.gz", "text", "^.gz is not a known kind of file"),
        ("rows", "text", "^a name without suffix is not a known kind of file"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    assert re.search(said, refused(tmp_path / name).facts["why"])


def test_texts_that_are_not_utf_8_are_found_in_binary_tables(tmp_path):
    column = pa.array([b"\xff", b"b"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"prompt": column, "response": ["a", "b"]}), tmp_path / "rows.parquet")
    assert "bytes that are not UTF-8" in refused(tmp_path / "rows.parquet").message


@pytest.mark.parametrize("suffix", FILE_KINDS)
def test_a_pointer_of_git_lfs_is_named(tmp_path, suffix):
    (tmp_path / f"rows{suffix}").write_text(POINTER)
    with pytest.raises(LfsPointer, match="git lfs pull"):
        table(tmp_path / f"rows{suffix}")


# --- folders and patterns ----------------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path):
    """A folder with four rows in two files, and what lies beside data."""
    folder = tmp_path / "d"
    (folder / ".cache").mkdir(parents=True)
    for number in (0, 1):
        WRITERS[".parquet"](folder / f"train-0000{number}-of-00002.parquet", PAIRS[2 * number : 2 * number + 2])
    (folder / "README.md").write_text("data")
    (folder / "dataset_infos.json").write_text("{}")
    (folder / ".cache" / "x.jsonl").write_text("{}")
    return folder


@pytest.mark.parametrize("spec", ["d", "d/", "d/*.parquet", "d/train-0000?-of-00002.parquet", "d/train-0000[01]*"])
def test_folders_and_patterns_are_read_in_the_order_of_their_names(parts, spec, own_folder):
    assert sampled(spec) == [(row["prompt"], row["response"]) for row in PAIRS]
    sample = read_sample("set", spec + "#prompt=response,response=prompt", Sampling(1), None)
    assert sample.source == spec.rstrip("/").removeprefix("d/") + "#prompt=response,response=prompt"


def test_files_of_one_folder_may_be_of_several_types(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(lines(PAIRS[:2]))
    (tmp_path / "c.jsonl").write_text(lines([{**PAIRS[2], "more": 1}]))
    assert len(table(tmp_path / "[ab].jsonl")) == 4
    with pytest.raises(SourceError, match="different columns: 'more' is not in both a.jsonl and c.jsonl"):
        table(tmp_path)


@pytest.mark.parametrize(
    ("more", "said", "hint"),
    [
        ("test-00000.parquet", "several splits .test, train.", "d/train-*.parquet"),
        ("rows.csv", "several kinds ..csv, .parquet.", "such as d/"),
    ],
)
def test_a_folder_of_different_files_is_named(parts, more, said, hint):
    WRITERS[more[more.index(".") :]](parts / more, PAIRS)
    error = refused(parts)
    assert hint in error.hint
    with pytest.raises(SourceError, match=said):
        table(parts)


def test_a_folder_without_data_is_named(tmp_path):
    (tmp_path / "x").mkdir()
    assert "no file of a known kind" in refused(tmp_path / "x").message


def test_what_save_to_disk_wrote_is_read(tmp_path):
    data = datasets.Dataset.from_list(PAIRS)
    data.save_to_disk(tmp_path / "saved")
    assert sampled(tmp_path / "saved") == [(row["prompt"], row["response"]) for row in PAIRS]
    assert len(table(next((tmp_path / "saved").glob("*.arrow")))) == 4
    datasets.DatasetDict({"train": data, "test": data.select([3])}).save_to_disk(tmp_path / "splits")
    assert len(table(tmp_path / "splits")) == 4
    assert sampled(tmp_path / "splits" / "test", 1) == [("question 3", "answer 3")]
    datasets.DatasetDict({"test": data}).save_to_disk(tmp_path / "other")
    error = refused(tmp_path / "other")
    assert "it has no split train (it has: test)" in error.message
    assert "other/test" in error.hint
    (tmp_path / "saved" / "state.json").write_text("{}")
    assert "not a whole folder of save_to_disk" in refused(tmp_path / "saved").message


def test_cells_that_python_cannot_hold_are_not_text(tmp_path):
    times = pa.array([2**60, 0], pa.int64()).cast(pa.timestamp("ms"))
    rows = pa.table({"prompt": ["a", "b"], "response": ["c", "d"], "id": times, "question": ["e", "f"]})
    pq.write_table(rows, tmp_path / "rows.parquet")
    assert len(sampled(tmp_path / "rows.parquet", 2)) == 2
    with pytest.raises(SourceError, match="response is not text: 2"):
        sampled(f"{tmp_path / 'rows.parquet'}#response=id", 1)
    assert [question.text for question in read_questions(str(tmp_path / "rows.parquet"), None)] == ["e", "f"]


def test_the_name_of_a_column_that_is_not_utf_8_is_refused(tmp_path):
    sink = io.BytesIO()
    pq.write_table(pa.table({"prompt": ["a"], "response": ["b"]}), sink)
    (tmp_path / "rows.parquet").write_bytes(sink.getvalue().replace(b"response", b"resp\xe9nse"))
    assert "bytes that are not UTF-8" in refused(tmp_path / "rows.parquet").message
