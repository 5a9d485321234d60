"""What the documents say is what the program does."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from deltas_of import DOWN, UP, delta_of

from spin_hub.artifacts.delta_file import write_delta

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
]


def generator(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_commands_is_that_of_the_commands():
    page = generator("generate_cli").reference()
    assert (ROOT / "docs" / "cli.md").read_text("utf-8") == page, "run python docs/generate_cli.py"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_options_in_examples_exist(document):
    from typer.main import get_command

    from spin_hub.cli.app import app

    commands = get_command(app).commands
    for line in re.findall(r"^(?:\$ )?spin-hub (.+)$", document.read_text("utf-8"), re.MULTILINE):
        verb, *words = shlex.split(line, comments=True)
        if verb.startswith("-"):
            continue
        known = {option for parameter in commands[verb].params for option in parameter.opts}
        assert {word.split("=")[0] for word in words if word.startswith("-")} <= known | {"--help"}, line


def test_the_table_of_modules_is_that_of_the_modules():
    page = generator("generate_modules").page()
    assert (ROOT / "docs" / "architecture.md").read_text("utf-8") == page, "run python docs/generate_modules.py"


def test_the_tables_of_data_are_those_of_the_readers():
    page = generator("generate_data").page()
    assert (ROOT / "README.md").read_text("utf-8") == page, "run python docs/generate_data.py"


def test_the_examples_of_the_guide_to_python_run(tiny, tmp_path, few_texts):
    (tmp_path / "my-model").symlink_to(tiny)
    for name, positions in {"my-delta": {UP: [3, 70]}, "other-delta": {UP: [70], DOWN: [9]}}.items():
        (tmp_path / name).mkdir()
        write_delta(tmp_path / name / "spin_delta.safetensors", delta_of(tiny, positions))
    names: dict[str, object] = {}
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "python.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    for block in blocks:
        # A tiny matrix has no thousandth.
        exec(block.replace("q=1e-3", "q=1e-1").replace("keep=1e-2", "keep=1e-1"), names)
    assert len(blocks) == 7
    assert (names["figures"].shared, names["only_a"].weights) == (1, 1)
