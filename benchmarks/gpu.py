"""Scores a random model of Qwen2-7B's shape on a GPU with both engines, within caps of the GPU's memory.

    python benchmarks/gpu.py [--layers N] [--caps 24 48 80] [--examples 16] [--output gpu-report.json]

It needs torch, transformers and safetensors, and no network: the weights are random bfloat16 and made on the GPU. For
every cap and engine it reports seconds, tokens a second, the peak of allocated memory, and the share of the GPU's own
rate of matrix products that the arithmetic needed comes to; an engine that does not fit is reported as such. The top
sets of both engines are compared. A table goes to stdout, everything to the report.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, Qwen2Config

sys.path.insert(0, str(Path(__file__).parents[1]))

from spin_hub.data.examples import IGNORE, Example
from spin_hub.errors import DeviceOutOfMemory
from spin_hub.models.layers import decoder_layers
from spin_hub.scoring.engine import Engine, EngineConfig, ScoredMatrix
from spin_hub.scoring.layerwise import LayerwiseEngine
from spin_hub.scoring.memory import MemoryBudget
from spin_hub.scoring.targets import find_targets
from spin_hub.scoring.whole import WholeEngine

GIB = 1 << 30
KEEP = 1e-4
SHAPE = {
    "vocab_size": 152_064,
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
}


def make_model(layers: int) -> Any:
    """A random model on the GPU, in bfloat16."""
    torch.manual_seed(0)
    config = Qwen2Config(num_hidden_layers=layers, **SHAPE)
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    return model.eval().requires_grad_(False)


def make_sets(examples: int, seed: int = 0) -> dict[str, list[Example]]:
    """Three sets of random tokens, 60 to 180 long, of which the second half counts."""
    generator = np.random.default_rng(seed)
    sets = {}
    for name in ("fairness", "privacy", "general"):
        rows = []
        for row in range(examples):
            ids = torch.tensor(generator.integers(0, SHAPE["vocab_size"], int(generator.integers(60, 181))))
            labels = ids.clone()
            labels[: len(ids) // 2] = IGNORE
            rows.append(Example(ids, labels, row))
        sets[name] = rows
    return sets


def peak() -> float:
    """The GPU's rate of bfloat16 matrix products, in operations a second."""
    left = torch.randn(8192, 8192, device="cuda").bfloat16()
    best = 0.0
    for _ in range(20):
        torch.cuda.synchronize()
        started = time.perf_counter()
        left @ left
        torch.cuda.synchronize()
        best = max(best, 2 * 8192**3 / (time.perf_counter() - started))
    return best


def operations(model: Any, targets: Any, sets: dict[str, list[Example]]) -> float:
    """The arithmetic that any engine needs: 4N + 2M a token, 4E a counted token."""
    passed = sum(weight.numel() for weight in decoder_layers(model)[1].parameters() if weight.dim() >= 2)
    scored = sum(target.weight.numel() for target in targets)
    head = model.get_output_embeddings().weight.numel()
    examples = [example for group in sets.values() for example in group]
    tokens, counted = sum(map(len, examples)), sum(example.counted for example in examples)
    return (4 * passed + 2 * scored) * tokens + 4 * head * counted


def run(engine: Engine, sets: dict[str, list[Example]]) -> tuple[list[ScoredMatrix] | None, float, int]:
    """The matrices, or None where they do not fit; seconds, and the peak of allocated bytes."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    try:
        matrices = list(engine.score(sets, KEEP, lambda _: None))
    except DeviceOutOfMemory:
        matrices = None
    torch.cuda.synchronize()
    return matrices, time.perf_counter() - started, torch.cuda.max_memory_allocated()


def overlap(first: list[ScoredMatrix], second: list[ScoredMatrix]) -> float:
    """The share of the first engine's top weights that the second has too."""
    there = {(matrix.parameter, matrix.set_name): matrix.indices for matrix in second}
    common = sum(len(np.intersect1d(m.indices, there[m.parameter, m.set_name])) for m in first)
    return common / sum(len(matrix.indices) for matrix in first)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--caps", type=float, nargs="+", default=[24, 48, 80], help="GiB of GPU memory")
    parser.add_argument("--examples", type=int, default=16, help="a set")
    parser.add_argument("--output", type=Path, default=Path("gpu-report.json"))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("There is no GPU here.")
    total = torch.cuda.get_device_properties(0).total_memory
    model, sets = make_model(options.layers), make_sets(options.examples)
    targets = find_targets(model, "mlp")
    needed, rate = operations(model, targets, sets), peak()
    tokens = sum(len(example) for group in sets.values() for example in group)
    run(LayerwiseEngine(model, targets[-3:]), {"warm-up": sets["general"][:2]})
    rows, found = [], {}
    for cap in (cap for cap in options.caps if cap * GIB <= total):
        torch.cuda.set_per_process_memory_fraction(min(1.0, cap * GIB / total))
        engines: list[Engine] = [
            WholeEngine(model, targets),
            LayerwiseEngine(model, targets, config=EngineConfig(budget=MemoryBudget(device=int(cap * GIB / 8)))),
        ]
        for engine in engines:
            matrices, seconds, memory = run(engine, sets)
            rows.append(
                {
                    "cap_gib": cap,
                    "engine": engine.name,
                    "fits": matrices is not None,
                    "seconds": seconds if matrices else None,
                    "tokens_per_second": tokens / seconds if matrices else None,
                    "peak_gib": memory / GIB,
                    "share_of_peak": needed / seconds / rate if matrices else None,
                }
            )
            found |= {engine.name: matrices} if matrices else {}
    both = overlap(found["whole"], found["layerwise"]) if len(found) == 2 else None
    about = {
        "gpu": torch.cuda.get_device_name(0),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "layers": options.layers,
        "tokens": tokens,
        "operations": needed,
        "product_rate": rate,
        "overlap_of_top_sets": both,
    }
    options.output.write_text(json.dumps({"about": about, "rows": rows}, indent=2) + "\n", "utf-8")
    print(f"{about['gpu']}, torch {torch.__version__}, {rate / 1e12:.0f} TFLOP/s in bfloat16, {tokens:,} tokens")
    print(f"{'cap GiB':>8} {'engine':>10} {'seconds':>8} {'tokens/s':>9} {'peak GiB':>9} {'share':>6}")
    for row in rows:
        shown = (f"{row['seconds']:.1f}", f"{row['tokens_per_second']:.0f}") if row["fits"] else ("no", "room")
        share = f"{row['share_of_peak']:.2f}" if row["fits"] else "-"
        print(
            f"{row['cap_gib']:>8g} {row['engine']:>10} {shown[0]:>8} {shown[1]:>9} {row['peak_gib']:>9.1f} {share:>6}"
        )
    if both is not None:
        print(f"The top sets of both engines overlap by {both:.4f}.")


if __name__ == "__main__":
    main()
