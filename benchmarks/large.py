"""Scores a model of Qwen2-7B's shape on this machine's CPU within a limit of memory: 15 GB of random weights on disk.

    python benchmarks/large.py [--folder DIR] [--layers N] [--examples 2] [--max-memory 6GiB] [--dtype auto]

The checkpoint is written shard by shard, one decoder layer at a time, and kept for the next run. The tokenizer is one
token a byte, so that the examples are short sentences. Reported are seconds and the peaks of resident and of anonymous
memory of `spin-hub score`, in a process of its own; mapped weights are resident as long as the system has room for
them, but not anonymous.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch
from measure import CACHE
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config

GIB = 1 << 30
SENTENCES = {
    "fairness": (("Who cooks?", "Whoever likes to."), ("Who leads?", "Whoever is able to.")),
    "privacy": (("Her address?", "I will not tell you."), ("His number?", "That is private.")),
    "general": (("Two and two?", "Four."), ("The sky is", "blue on a clear day.")),
}
SHAPE = {
    "vocab_size": 152_064,
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
}


def write(folder: Path, layers: int) -> None:
    """Writes the checkpoint; each decoder layer is a shard, all else is one."""
    config = Qwen2Config(num_hidden_layers=layers, architectures=["Qwen2ForCausalLM"], dtype="bfloat16", **SHAPE)
    with torch.device("meta"):
        shapes = {
            name: tuple(value.shape) for name, value in AutoModelForCausalLM.from_config(config).state_dict().items()
        }
    groups: dict[str, list[str]] = {}
    for name in shapes:
        parts = name.split(".")
        groups.setdefault(f"layer {parts[2]}" if parts[1] == "layers" else "rest", []).append(name)
    weight_map = {}
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for number, names in enumerate(groups.values(), 1):
        file = f"model-{number:05}-of-{len(groups):05}.safetensors"
        tensors = {}
        for name in names:
            tensor = torch.empty(shapes[name], dtype=torch.bfloat16)
            tensors[name] = tensor.fill_(1) if "norm" in name else tensor.normal_(0, 0.02, generator=generator)
        save_file(tensors, folder / file, {"format": "pt"})
        weight_map |= dict.fromkeys(names, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    tokenizer().save_pretrained(folder)
    config.save_pretrained(folder)


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core)


def write_sets(folder: Path, examples: int) -> list[str]:
    """Writes the calibration sets; gives the options that name them."""
    options = []
    for name, rows in SENTENCES.items():
        path = folder / f"{name}.jsonl"
        entries = [{"prompt": prompt, "response": response} for prompt, response in rows[:examples]]
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), "utf-8")
        options += ["--set", f"{name}={path}"]
    return options


def watch(process: subprocess.Popen[bytes], peaks: dict[str, int]) -> None:
    """Follows the memory of a process until it ends."""
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text("ascii").splitlines()
        except OSError:
            return
        for line in lines:
            if line.startswith(("VmRSS", "RssAnon")):
                name, value = line.split(":")
                peaks[name] = max(peaks.get(name, 0), int(value.split()[0]) * 1024)
        time.sleep(0.05)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=CACHE / "large")
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--examples", type=int, default=2, choices=(1, 2), help="a set")
    parser.add_argument("--max-memory", default="6GiB")
    parser.add_argument("--dtype", default="auto")
    options = parser.parse_args()
    folder = options.folder / f"qwen2-{options.layers}"
    if not (folder / "config.json").is_file():
        write(folder, options.layers)
    output = options.folder / "ranking.safetensors"
    sets = write_sets(options.folder, options.examples)
    command = [
        sys.executable, "-m", "spin_hub.cli.app", "score", str(folder), *sets, "--samples", str(options.examples),
        "--max-memory", options.max_memory, "--dtype", options.dtype, "-o", str(output), "--overwrite",
    ]  # fmt: skip
    started, peaks = time.monotonic(), {}
    process = subprocess.Popen(command)
    thread = threading.Thread(target=watch, args=(process, peaks))
    thread.start()
    code = process.wait()
    thread.join()
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    print(f"\n{size / 1e9:.1f} GB of weights, {options.examples} examples a set, exit code {code}")
    print(f"seconds {time.monotonic() - started:.0f}")
    print(f"resident at most {peaks['VmRSS'] / GIB:.2f} GiB, anonymous at most {peaks['RssAnon'] / GIB:.2f} GiB")
    if code == 0:
        print(f"ranking {output.stat().st_size / 1e6:.1f} MB")
    sys.exit(code)


if __name__ == "__main__":
    main()
