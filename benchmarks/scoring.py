"""Compares the time to score one calibration set: the loop of the paper's published code, and both engines.

    python benchmarks/scoring.py [--set NAME] [--data DIR] [--dtype float32|bfloat16] [--loop-dtype ...]

The model is the demo's, SmolLM2-135M-Instruct; the set has 8 examples, sampled with seed 0. In each of three rounds
the engines run, between measurements of the machine's own peak in matrix products, and the loop over a third of the
layers: minutes in all. The loop runs in float32 whatever the engines' precision, unless said otherwise.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from statistics import median

import torch
from measure import Usage, demo_model, in_child, machine, product_peak, seconds, table, used_by
from published import RATIO, TopSets, differing, published_loop
from transformers import PreTrainedModel

from spin_hub.checkpoint.index import read_index
from spin_hub.core.ranking import count_of
from spin_hub.data.examples import Example, make_examples
from spin_hub.data.sampling import Sampling, read_sample
from spin_hub.hub.resolve import resolve_dataset
from spin_hub.models.device import Placement
from spin_hub.models.layers import decoder_layers
from spin_hub.models.load import load_model, load_tokenizer
from spin_hub.recipe import PAPER_SETS, ScoringRecipe
from spin_hub.scoring.choosing import make_engine
from spin_hub.scoring.engine import Engine
from spin_hub.scoring.targets import find_targets

ROUNDS = 3
ENGINES = ("whole", "layerwise")
FILES = {
    "fairness": "beaver_train330k_fairness_safe_1k.csv",
    "privacy": "beaver_train330k_privacy_safe_1k.csv",
    "general": "alpaca_cleaned_no_safety_train_1k.csv",
}


@dataclass(frozen=True)
class Task:
    """What is scored: a checkpoint's folder, the precisions of the engines and of the loop, and the set."""

    folder: Path
    dtype: torch.dtype
    loop_dtype: torch.dtype
    name: str
    data: Path | None

    @cached_property
    def examples(self) -> tuple[Example, ...]:
        """Eight examples of the set, built-in or of the files that the golden results were made from."""
        spec = f"builtin:{self.name}" if self.data is None else str(self.data / FILES[self.name])
        recipe = ScoringRecipe(samples=8, tokenization="exact" if self.data is None else "published")
        sample = read_sample(self.name, spec, Sampling(recipe.samples, recipe.seed), resolve_dataset)
        return make_examples(self.name, sample.rows, load_tokenizer(self.folder, False), recipe)

    def model(self, dtype: torch.dtype) -> PreTrainedModel:
        """The model, on the CPU."""
        return load_model(read_index(self.folder), Placement(torch.device("cpu"), dtype), False)


@dataclass
class Found:
    """What one of them took in each round, in seconds, and the top sets that it found."""

    seconds: list[float] = field(default_factory=list)
    top: TopSets = field(default_factory=dict)

    def add(self, action: Callable[[], TopSets]) -> None:
        """Runs and times a round."""
        self.seconds.append(seconds(lambda: self.top.update(action())))


@dataclass
class Measured:
    """The loop, the engines by name, the seconds of their checks, and every round's peak in operations a second."""

    loop: Found = field(default_factory=Found)
    engines: dict[str, Found] = field(default_factory=lambda: {name: Found() for name in ENGINES})
    checks: dict[str, float] = field(default_factory=dict)
    peaks: list[float] = field(default_factory=list)


def engine_of(name: str, model: PreTrainedModel) -> Engine:
    """An engine, after the check that it is right for the model."""
    return make_engine(name, model, find_targets(model, "mlp"), "float32").engine


def engine_once(engine: Engine, examples: Sequence[Example]) -> TopSets:
    """The same top sets by an engine."""
    matrices = engine.score({"set": examples}, RATIO, lambda _: None)
    # The engine may keep one weight more where the published count rounds the other way.
    return {entry.parameter: set(entry.indices[: count_of(RATIO, entry.shape)].tolist()) for entry in matrices}


def measured(task: Task) -> Measured:
    """Rounds of a peak, the engines, a peak, and a part of the loop, so that a busy minute falls on all.

    The higher of the two peaks around a round is the round's.
    """
    found, model, slow = Measured(), task.model(task.dtype), task.model(task.loop_dtype)
    depth = len(decoder_layers(model)[1])
    engines = {}
    for name in ENGINES:
        found.checks[name] = seconds(lambda name=name: engines.update({name: engine_of(name, model)}))
    for number in range(ROUNDS):
        before = product_peak(task.dtype)
        for name in reversed(ENGINES) if number % 2 else ENGINES:
            found.engines[name].add(partial(engine_once, engines[name], task.examples))
        found.peaks.append(max(before, product_peak(task.dtype)))
        # Every part has layers of all depths, since a deeper one costs a shorter backward pass.
        found.loop.add(partial(published_loop, slow, task.examples, range(number, depth, ROUNDS)))
    return found


def memory_of(task: Task, name: str) -> Usage:
    """What loading the model and scoring with an engine takes; to be run in a process of its own."""
    return used_by(lambda: engine_once(engine_of(name, task.model(task.dtype)), task.examples))


def operations(model: PreTrainedModel, examples: Sequence[Example]) -> int:
    """The products that the scores need: 4N + 2M a token and 4E a response token; padding does not count.

    N weights of the decoder layers are passed through forwards and backwards, M of them are scored, and the head
    has E. The backward pass through what lies below the first target, under 1 %, is counted although not needed.
    The layerwise engine's second forward pass, 2N a token, is not counted: it is the price of its small memory.
    """
    passed = sum(weight.numel() for weight in decoder_layers(model)[1].parameters() if weight.dim() == 2)
    scored = sum(target.weight.numel() for target in find_targets(model, "mlp"))
    head = int(model.get_output_embeddings().weight.numel())
    tokens, counted = sum(map(len, examples)), sum(example.counted for example in examples)
    return (4 * passed + 2 * scored) * tokens + 4 * head * counted


def report(found: Measured, tokens: int, needed: int) -> str:
    """The table and the lines under it."""
    # A round of the loop is a third of it; so the best and the median of all are of one kind.
    times = {"published loop (3 x a third)": [ROUNDS * taken for taken in found.loop.seconds]}
    times |= {f"{name} engine": entry.seconds for name, entry in found.engines.items()}
    loop = next(iter(times.values()))
    rows = [
        (name, *(f"{pick(taken):.2f}" for pick in (min, median)), f"{tokens / min(taken):.1f}",
         *(f"{pick(loop) / pick(taken):.1f}" for pick in (min, median)))
        for name, taken in times.items()
    ]  # fmt: skip
    lines = [table(("one calibration set", "best s", "median s", "best tok/s", "x best", "x median"), rows)]
    whole, layerwise = (found.engines[name].seconds for name in ("whole", "layerwise"))
    lines.append(f"layerwise / whole: best {min(layerwise) / min(whole):.2f}, median {ratio(layerwise, whole):.2f}")
    lines.append(f"the layerwise engine's check of the model, once a run: {found.checks['layerwise']:.2f} s")
    lines.append(f"the loop in this run: {sum(found.loop.seconds):.1f} s in all")
    for name, entry in found.engines.items():
        shares = [needed / taken / peak for taken, peak in zip(entry.seconds, found.peaks, strict=True)]
        total = sum(map(len, found.loop.top.values()))
        overlap = 1 - differing(found.loop.top, entry.top) / total
        lines.append(f"{name}: share of the peak best {max(shares):.2f}, median {median(shares):.2f}; ")
        lines[-1] += f"top sets at {RATIO:g} shared with the loop's: {overlap:.4f} of {total:,} weights"
    lines.append(f"peak in matrix products: {min(found.peaks) / 1e9:.0f} to {max(found.peaks) / 1e9:.0f} GFLOP/s")
    return "\n".join(lines)


def ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return median(left / right for left, right in zip(first, second, strict=True))


def main() -> None:
    types = ("float32", "bfloat16")
    parser = argparse.ArgumentParser(description="The published code's loop against the engines.")
    parser.add_argument("--set", choices=PAPER_SETS, default="privacy", dest="name")
    parser.add_argument("--data", type=Path, help="a folder with the CSV files of the golden results")
    parser.add_argument("--dtype", choices=types, default="float32")
    parser.add_argument("--loop-dtype", choices=types, default="float32")
    options = parser.parse_args()
    dtypes = (getattr(torch, name) for name in (options.dtype, options.loop_dtype))
    task = Task(demo_model(), *dtypes, options.name, options.data)
    tokens, load = sum(map(len, task.examples)), os.getloadavg()[0]
    print(machine())
    print(f"{task.folder.name}, {options.dtype} (loop: {options.loop_dtype}), mlp; {options.name}: ", end="")
    print(f"{len(task.examples)} examples, {tokens:,} tokens; load before: {load:.2f}\n")
    needed = operations(task.model(task.dtype), task.examples)
    print(report(measured(task), tokens, needed))
    for name in ENGINES:
        usage = in_child(memory_of, task, name)
        print(f"{name}: {usage.resident / 2**20:,.0f} MiB resident, {usage.anonymous / 2**20:,.0f} MiB anonymous")


if __name__ == "__main__":
    main()
