"""What the built wheel holds, and what the package list says."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def packages_on_disk() -> set[str]:
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "spin_hub").rglob("__init__.py")}
    for top in ("cli", "model_cards"):
        found |= {
            f"spin_hub.{'.'.join(path.parent.relative_to(ROOT).parts)}" for path in (ROOT / top).rglob("__init__.py")
        }
    return found


def test_the_package_list_equals_the_folders():
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages_on_disk()


def test_versions_agree():
    from spin_hub.version import __version__

    assert __version__ == PROJECT["project"]["version"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return zipfile.ZipFile(next(target.glob("*.whl")))


def test_the_wheel_holds_only_spin_hub(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"spin_hub"}


def test_the_wheel_holds_the_data(wheel):
    names = set(wheel.namelist())
    for name in ("fairness", "privacy", "general"):
        assert f"spin_hub/data/builtin/{name}.jsonl" in names
    for name in ("fairness", "privacy", "safety", "lookalike"):
        assert f"spin_hub/data/builtin/questions/{name}.jsonl" in names
    assert {"spin_hub/model_cards/templates/model.md", "spin_hub/py.typed", "spin_hub/cli/app.py"} <= names


def test_the_wheel_has_the_console_script(wheel):
    entry = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "spin-hub = spin_hub.cli.app:main" in wheel.read(entry).decode()
