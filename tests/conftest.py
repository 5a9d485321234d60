"""Shared fixtures: checkpoints that are made once and never changed, and a workplace without a network.

Run them with ``--dist loadfile``, so that what the tests of a file share is made by one worker; slow files come first.
"""

import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"
# Speeds in GFLOP/s instead of measured ones, so that the same precisions are chosen on every processor.
os.environ["SPIN_HUB_SPEEDS"] = "float32:150,bfloat16:300,float16:10,float64:75"

import models
import pytest
import torch
from filelock import FileLock
from hypothesis import HealthCheck, settings

from spin_hub import plugins
from spin_hub.cli import app
from spin_hub.data import builtin
from spin_hub.data import examples as tokens
from spin_hub.workflows.demo import NAME, PACKAGE, unpack

# Where the tests are run in the background, Ctrl-C is ignored, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

for profile, examples in {"spin": 100, "fast": 20}.items():
    settings.register_profile(
        profile, max_examples=examples, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile(os.environ.get("SPIN_HUB_HYPOTHESIS", "spin"))
torch.set_num_threads(1)

REFERENCE = Path(__file__).parent.parent.parent / "shared" / "reference"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files first that take long, so that no worker is left alone with one of them."""
    costs: dict[Path, int] = {}
    for item in items:
        cost = next((cost for cost, name in ((2, "slow"), (1, "moderate")) if item.get_closest_marker(name)), 0)
        costs[item.path] = max(costs.get(item.path, 0), cost)
    items.sort(key=lambda item: -costs[item.path])


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def smollm2(run_folder: Path) -> Path:
    """The demo's real model in bfloat16, unpacked once in a run; never changed."""
    if importlib.util.find_spec(PACKAGE) is None:
        pytest.skip(f"the package {PACKAGE} with the real model is not installed")
    with FileLock(run_folder / "real.lock"):
        if not (run_folder / "real" / NAME).is_dir():
            unpack(run_folder / "real" / NAME)
    return run_folder / "real" / NAME


@pytest.fixture(scope="module")
def few_texts() -> Iterator[None]:
    """Evidence of an edit by a few texts and pairs: all of them take seconds for every state of a tiny model."""
    rows, answers = builtin.builtin_rows, tokens.pair_examples
    with pytest.MonkeyPatch.context() as patch:
        # Calibration sources hold these functions under names of their own.
        patch.setattr(builtin, "builtin_rows", lambda *given: rows(*given)[:8])
        patch.setattr(tokens, "pair_examples", lambda *given: answers(*given)[:12])
        yield


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float32 llama in one file."""
    return models.save_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bfloat16 llama with tied embeddings in several shards."""
    config = models.tiny_config(tie_word_embeddings=True)
    folder = tmp_path_factory.mktemp("models") / "sharded"
    return models.save_checkpoint(folder, config, torch.bfloat16, "40KB")


@pytest.fixture(scope="session")
def reference() -> Path:
    """What the published code decided on a real model; outside this project."""
    if not REFERENCE.is_dir():
        pytest.skip(f"the reference data are not here ({REFERENCE.name} folder beside the checkout)")
    return REFERENCE


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes what the person at this machine has cached."""
    os.environ["SPIN_HUB_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test works in a folder of its own, with a Hub cache of its own."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line in this process: ``cli("inspect", path)`` returns exit code, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        code = app.run([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs a package of one module with entry points: ``install(source, {group: {name: object}})``."""
    site = tmp_path / "site"

    def installed(source: str, points: Mapping[str, Mapping[str, str]], package: str = "spin-toy") -> None:
        module = package.replace("-", "_")
        about = site / f"{module}-1.2.dist-info"
        about.mkdir(parents=True)
        (site / f"{module}.py").write_text(source, "utf-8")
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n", "utf-8")
        lines = []
        for group, names in points.items():
            lines += [f"[{group}]", *(f"{name} = {module}:{place}" for name, place in names.items())]
        (about / "entry_points.txt").write_text("\n".join(lines), "utf-8")
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, module, raising=False)
        _forget_plugins()

    yield installed
    monkeypatch.undo()
    _forget_plugins()


def _forget_plugins() -> None:
    plugins._points.cache_clear()
    plugins._plugged.cache_clear()
