"""Writes the table of modules in docs/architecture.md from their first lines: python docs/generate_modules.py."""

import ast
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = Path(__file__).with_name("architecture.md")
BEGIN, END = "<!-- modules: begin -->", "<!-- modules: end -->"


def table() -> str:
    """A table a room: each module with the first line of its docstring."""
    folders = {"spin_hub": ROOT / "spin_hub", "cli": ROOT / "cli", "model_cards": ROOT / "model_cards"}
    modules = [
        (path.relative_to(ROOT).parent.as_posix() + "/", path)
        for folder in folders.values()
        for path in sorted(folder.rglob("*.py"))
        if path.name != "__init__.py"
    ]
    parts = []
    for room, entries in groupby(sorted(modules), lambda entry: entry[0]):
        rows = [f"| `{path.name}` | {_first_line(path)} |" for _, path in entries]
        parts.append("\n".join([f"### `{room}`", "", "| module | idea |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def page() -> str:
    """The whole page with its table made anew."""
    before, _, rest = TARGET.read_text("utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return docstring.partition("\n")[0].replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(page(), "utf-8", newline="\n")
