"""Data flows one way: which room may import which, read from the sources."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# The rooms from the ground up: a module imports its own room and those of lower floors.
FLOORS = (
    {"units", "version"},
    {"errors"},
    {"plugins"},
    {"core"},
    {"kinds", "recipe", "progress", "versions", "evidence"},
    {"record"},
    {"checkpoint"},
    {"model_cards", "data"},
    {"models", "hub"},
    {"artifacts"},
    {"scoring"},
    {"metrics"},
    {"exports", "search", "doctor"},
    {"verification"},
    {"workflows"},
    {"cli"},
)
ALLOWED = {room: {room}.union(*FLOORS[:number]) for number, floor in enumerate(FLOORS) for room in floor}
FORBIDDEN_IN_CORE = {"os", "pathlib", "safetensors", "transformers", "huggingface_hub", "datasets", "typer"}


def sources() -> list[tuple[str, Path]]:
    library = [path for path in (ROOT / "spin_hub").rglob("*.py") if path.name != "__init__.py" or path.parent.name]
    placed = [(path.relative_to(ROOT / "spin_hub").parts[0].removesuffix(".py"), path) for path in library]
    for room in ("cli", "model_cards"):
        placed += [(room, path) for path in (ROOT / room).rglob("*.py")]
    return [(room, path) for room, path in placed if room != "__init__"]


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add(node.module or "")
    return found


def test_every_module_imports_only_rooms_below_its_own():
    wrong = {}
    for room, path in sources():
        rooms = {name.split(".")[1] for name in imported(path) if name.startswith("spin_hub.")}
        if beyond := rooms - ALLOWED[room]:
            wrong[path.relative_to(ROOT).as_posix()] = sorted(beyond)
    assert not wrong


def test_the_core_is_numbers_in_numbers_out():
    wrong = {}
    for room, path in sources():
        if room != "core":
            continue
        packages = {name.split(".")[0] for name in imported(path)}
        allowed = {"numpy", "spin_hub", *sys.stdlib_module_names} - FORBIDDEN_IN_CORE
        if beyond := packages - allowed:
            wrong[path.relative_to(ROOT).as_posix()] = sorted(beyond)
    assert not wrong


def test_data_sets_are_loaded_in_one_place_only():
    users = {path.name for _, path in sources() if "load_dataset" in path.read_text("utf-8")}
    assert users == {"hub_tables.py"}


def test_only_the_hub_room_calls_the_hub():
    callers = {
        path.relative_to(ROOT).as_posix()
        for room, path in sources()
        if room != "hub" and any(word in path.read_text("utf-8") for word in ("HfApi", "snapshot_download"))
    }
    assert not callers


def test_no_command_is_imported_bare():
    for _, path in sources():
        assert not {name.split(".")[0] for name in imported(path)} & {"cli", "model_cards"}
