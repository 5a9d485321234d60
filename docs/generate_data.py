"""Writes the tables of what is read as calibration data in README.md from the readers: python docs/generate_data.py."""

from pathlib import Path

from spin_hub.data.formats import READERS
from spin_hub.data.rows import FORMS, Form
from spin_hub.data.spec import COMPRESSIONS

TARGET = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- data: begin -->", "<!-- data: end -->"
SOURCES = (
    ("several files", "`FOLDER`, `'FOLDER/train-*.parquet'`", "files of one kind, in the order of their names"),
    ("`datasets`", "`FOLDER`", "what `save_to_disk` wrote; of several splits `train`, or `FOLDER/SPLIT`"),
    ("the Hub", "`org/name[@revision][:config][/split]`", "a data set at a commit"),
)


def tables() -> str:
    """Return the kinds of files and the forms of data, each as a table."""
    kinds = []
    for reader in dict.fromkeys(READERS.values()):
        # Their docstrings are of the form "Read KIND: WHAT."
        name, _, what = (reader.__doc__ or "").removeprefix("Read ").rstrip(".").partition(": ")
        kinds.append((name, _suffixes(reader), what.replace("``", "`")))
    rows = [f"| {name} | {place} | {what} |" for name, place, what in [*kinds, *SOURCES]]
    packed = ", ".join(f"`{suffix}`" for suffix in COMPRESSIONS)
    files = ["| source | name | what is read |", "|---|---|---|", *rows]
    forms = ["| form | columns of the prompt | of the response |", "|---|---|---|", *map(_form, FORMS)]
    note = f"Files of text may end with {packed} too. Columns are known in these forms, the first that fits:"
    return "\n".join([*files, "", note, "", *forms])


def page() -> str:
    """Return the whole page with its tables made anew."""
    before, _, rest = TARGET.read_text("utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{tables()}\n{END}{rest.partition(END)[2]}"


def _suffixes(reader: object) -> str:
    return ", ".join(f"`{suffix}`" for suffix, found in READERS.items() if found is reader)


def _form(form: Form) -> str:
    if form.columns.conversation:
        return f"| {form.name} | `{form.columns.conversation}`: the user's first messages | the first answer to them |"
    optional = [] if form.needs is None else [name for name in form.columns.prompt if name not in form.needs]
    prompt = ", ".join(f"`{name}`" + (" if it is there" if name in optional else "") for name in form.columns.prompt)
    return f"| {form.name} | {prompt} | {', '.join(f'`{name}`' for name in form.columns.response)} |"


if __name__ == "__main__":
    TARGET.write_text(page(), "utf-8", newline="\n")
