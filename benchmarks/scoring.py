"""Compares the time to score one calibration set: the loop of the paper's published code, and the whole engine.

    python benchmarks/scoring.py [--set NAME] [--data DIR] [--dtype float32|bfloat16]

The model is the demo's, SmolLM2-135M-Instruct; the set has 8 examples, sampled with seed 0. In each of three rounds
the engine runs whole, between measurements of the machine's own peak in matrix products, and the loop over a third
of the layers: minutes in all.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import torch
from measure import demo_model, machine, product_peak, seconds, table
from published import RATIO, TopSets, differing, published_loop
from transformers import PreTrainedModel

from spin_hub.calibration.examples import make_examples
from spin_hub.calibration.sources import Sampling, read_sample
from spin_hub.checkpoint.index import read_index
from spin_hub.core.example import Example
from spin_hub.core.ranking import count_of
from spin_hub.hub.datasets import resolve_dataset
from spin_hub.recipe import PAPER_SETS, ScoringRecipe
from spin_hub.scoring.loading import load_model, load_tokenizer
from spin_hub.scoring.targets import decoder_layers, find_targets
from spin_hub.scoring.whole import WholeEngine

ROUNDS = 3
FILES = {
    "fairness": "beaver_train330k_fairness_safe_1k.csv",
    "privacy": "beaver_train330k_privacy_safe_1k.csv",
    "general": "alpaca_cleaned_no_safety_train_1k.csv",
}


@dataclass
class Found:
    """What one of the two took in each round, in seconds, and the top sets that it found."""

    seconds: list[float] = field(default_factory=list)
    top: TopSets = field(default_factory=dict)

    def add(self, action: Callable[[], TopSets]) -> None:
        """Runs and times a round."""
        self.seconds.append(seconds(lambda: self.top.update(action())))


Measured = tuple[Found, Found, list[float]]
"""The loop, the engine, and the peak of every round."""


def engine_once(model: PreTrainedModel, examples: Sequence[Example]) -> TopSets:
    """The same top sets by the whole engine."""
    engine = WholeEngine(model, find_targets(model, "mlp"))
    matrices = engine.score({"set": examples}, RATIO, lambda _: None)
    # The engine may keep one weight more where the published count rounds the other way.
    return {entry.parameter: set(entry.indices[: count_of(RATIO, entry.shape)].tolist()) for entry in matrices}


def measured(model: PreTrainedModel, examples: Sequence[Example], dtype: torch.dtype) -> Measured:
    """Rounds of a peak, the engine, a peak, and a part of the loop, so that a busy minute falls on both.

    The peaks are in operations a second; the higher of the two around a run of the engine is the run's.
    """
    loop, engine = Found(), Found()
    peaks = []
    depth = len(decoder_layers(model)[1])
    for number in range(ROUNDS):
        before = product_peak(dtype)
        engine.add(lambda: engine_once(model, examples))
        peaks.append(max(before, product_peak(dtype)))
        # Every part has layers of all depths, since a deeper one costs a shorter backward pass.
        part = range(number, depth, ROUNDS)
        loop.add(partial(published_loop, model, examples, part))
    return loop, engine, peaks


def operations(model: PreTrainedModel, examples: Sequence[Example]) -> int:
    """The products that the scores need: 4N + 2M a token and 4E a response token; padding does not count.

    N weights of the decoder layers are passed through forwards and backwards, M of them are scored, and the head
    has E. The backward pass through what lies below the first target, under 1 %, is counted although not needed.
    """
    passed = sum(weight.numel() for weight in decoder_layers(model)[1].parameters() if weight.dim() == 2)
    scored = sum(target.weight.numel() for target in find_targets(model, "mlp"))
    head = int(model.get_output_embeddings().weight.numel())
    tokens, counted = sum(map(len, examples)), sum(example.counted for example in examples)
    return (4 * passed + 2 * scored) * tokens + 4 * head * counted


def read_examples(folder: Path, name: str, data: Path | None) -> tuple[Example, ...]:
    """Eight examples of a set, built-in or of the files that the golden results were made from."""
    spec = f"builtin:{name}" if data is None else str(data / FILES[name])
    recipe = ScoringRecipe(samples=8, tokenization="exact" if data is None else "published")
    sample = read_sample(name, spec, Sampling(recipe.samples, recipe.seed), resolve_dataset)
    return make_examples(name, sample.rows, load_tokenizer(folder, False), recipe)


def report(found: Measured, tokens: int, needed: int) -> str:
    """The table and the lines under it."""
    loop, engine, peaks = found
    # A round of the loop is a third of it; so the best and the median of both sides are of one kind.
    whole = [ROUNDS * taken for taken in loop.seconds]
    shares = [needed / taken / peak for taken, peak in zip(engine.seconds, peaks, strict=True)]
    bests, medians = ([pick(whole), pick(engine.seconds)] for pick in (min, median))
    rows = [
        (name, f"{best:.2f}", f"{middle:.2f}", f"{tokens / best:.1f}", f"{tokens / middle:.1f}")
        for name, best, middle in zip(("published loop (3 x a third)", "whole engine"), bests, medians, strict=True)
    ]
    rows.append(("times faster", f"{bests[0] / bests[1]:.1f}", f"{medians[0] / medians[1]:.1f}", "", ""))
    differ = f"{differing(loop.top, engine.top)} of {sum(map(len, loop.top.values())):,} weights"
    return "\n".join(
        (
            table(("one calibration set", "best s", "median s", "best tok/s", "median tok/s"), rows),
            f"the loop in this run: {sum(loop.seconds):.1f} s in all",
            f"top sets at {RATIO:g}: {differ} in {len(loop.top)} matrices differ",
            f"peak in matrix products: {min(peaks) / 1e9:.0f} to {max(peaks) / 1e9:.0f} GFLOP/s",
            f"the engine's share of it: best {max(shares):.2f}, median {median(shares):.2f}",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="The published code's loop against the whole engine.")
    parser.add_argument("--set", choices=PAPER_SETS, default="privacy", dest="name")
    parser.add_argument("--data", type=Path, help="a folder with the CSV files of the golden results")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    options = parser.parse_args()
    folder, dtype = demo_model(), getattr(torch, options.dtype)
    model = load_model(read_index(folder), dtype, torch.device("cpu"), False)
    examples = read_examples(folder, options.name, options.data)
    tokens = sum(map(len, examples))
    print(machine())
    print(f"{folder.name}, {options.dtype}, mlp; {options.name}: {len(examples)} examples, {tokens:,} tokens\n")
    print(report(measured(model, examples, dtype), tokens, operations(model, examples)))


if __name__ == "__main__":
    main()
