"""Shared fixtures: checkpoints that are made once and never changed, and a workplace without a network."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"

import models
import pytest
import torch
from hypothesis import HealthCheck, settings

# Where the tests are run in the background, Ctrl-C is ignored, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "spin", max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("spin")
torch.set_num_threads(1)

REFERENCE = Path(__file__).parent.parent.parent / "shared" / "reference"


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
