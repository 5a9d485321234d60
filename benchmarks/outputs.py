"""Keeps the outputs of a set of commands, and compares them byte for byte after a change of the code.

    python benchmarks/outputs.py keep DIR [--model FOLDER]
    python benchmarks/outputs.py compare DIR [--model FOLDER]

``compare`` with the Python of another environment compares versions of the libraries: it runs on the checkpoints that
``keep`` made.

``keep`` runs the commands below on small checkpoints with fixed seeds; ``compare`` runs them again in a temporary
folder, lists every difference and exits with 1 if there is any. Each command has a folder in DIR: its exit code, its
standard output, the sha256 of every file that it wrote or removed, and records, cards and adapter configurations in
full, so that an intended difference can be read. JSON is compared key by key. ``--model`` adds commands on a model of
your own. Commands run offline, each in a fork of this process (POSIX), on one thread, with given speeds of the
processor in place of measured ones. Replaced before the comparison: the paths of the run, and on standard output
durations, speeds and peaks of memory, but for those of ``--plan``, which follow from the given speeds. Standard error
is kept for reading but not compared.
"""

import argparse
import difflib
import hashlib
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

# PyTorch and the libraries of the Hub read these when they are imported.
os.environ.update({
    "OMP_NUM_THREADS": "1",
    "SPIN_HUB_SPEEDS": "float32:150,bfloat16:300,float16:10,float64:75",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "COLUMNS": "80",
    "NO_COLOR": "1",
})  # fmt: skip
os.environ.pop("HF_TOKEN", None)
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import forked
import models
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config

from spin_hub.cli.app import main as command_line

TIMEOUT: Final = 600
CHECKPOINTS: Final = "checkpoints"
IN_FULL: Final = ("README.md", "spin.json", "study.json", "adapter_config.json")
"""Files that are kept as text; of all others the sha256 is kept."""
VARYING: Final = ("seconds",)
"""JSON keys whose values are measured durations."""
_NUMBER = r"(?<![\w.])\d[\d,]*(?:\.\d+)?"
REPLACED: Final = (
    (re.compile(rf"{_NUMBER} \w+/(?:s|min|h)\b"), "<speed>"),
    (re.compile(rf"(?:{_NUMBER} h )?(?:{_NUMBER} min )?{_NUMBER} (?:ms|s|min|h)\b"), "<time>"),
    (re.compile(rf"peak {_NUMBER} [KMG]iB"), "peak <memory>"),
)

COMMANDS: Final = """
score            score tiny --samples 3 --keep 1e-1 -o tiny-ranking.safetensors
score-text       score tiny --samples 3 --keep 1e-1
score-sharded    score sharded --samples 3 --keep 1e-1 --target all -o sharded-ranking.safetensors
score-gpt2       score gpt2 --samples 3 --keep 1e-1 -o gpt2-ranking.safetensors
score-whole      score tiny --samples 3 --keep 1e-2 --engine whole --accumulate model -o whole-ranking.safetensors
score-template   score tiny --samples 3 --keep 1e-2 --chat-template --max-length 300 --seed 7 -o own/ranking.safetensors
score-published  score sharded --samples 3 --keep 1e-2 --tokenization published --accumulate model \
 -o published-ranking.safetensors
score-set        score tiny --samples 3 --keep 2e-1 --set law=law.jsonl --privacy builtin:privacy \
 --general builtin:general -o law-ranking.safetensors

select-paper     select tiny-ranking.safetensors --p 5e-2 --q 1e-1 -o select-paper
select-sharded   select sharded-ranking.safetensors --p 5e-2 --q 1e-1 -o select-sharded
select-random    select tiny-ranking.safetensors --p 5e-2 --q 1e-1 --rule random --seed 3 --base tiny -o select-random
select-set       select law-ranking.safetensors --select "(law & privacy) - general" --ratio law=2e-1 \
 --p 5e-2 --q 1e-1 -o law
select-published select published-ranking.safetensors --rule published --p 5e-3 --q 5e-3 -o select-published
select-layers    select tiny-ranking.safetensors --p 5e-2 --q 1e-1 --layers 1-2 -o select-layers
select-part      select sharded-ranking.safetensors --p 5e-2 --q 1e-1 --part self_attn --layers 0 -o select-part
select-whole     select tiny-ranking.safetensors --select "fairness - privacy" --q 5e-2 -o select-expression

edit-model       edit tiny --p 1e-2 --q 1e-1 --samples 3 -o model
edit-sharded     edit sharded --p 1e-2 --q 1e-1 --samples 3 -o sharded-model
edit-gpt2        edit gpt2 --p 1e-2 --q 1e-1 --samples 3 -o gpt2-model
edit-delta       edit sharded --p 1e-2 --q 1e-1 --samples 3 --no-eval --as delta -o delta
edit-other       edit sharded --p 5e-2 --q 1e-1 --samples 3 --seed 5 --no-eval --as delta -o other-delta
edit-peft        edit sharded --p 1e-2 --q 1e-1 --samples 3 --as peft -o peft
edit-lora        edit sharded --p 1e-2 --q 2e-2 --samples 3 --as lora --yes -o lora
edit-gpt2-lora   edit gpt2 --p 1e-2 --q 2e-2 --samples 3 --no-eval --as lora --yes -o gpt2-lora
edit-published   edit tiny --rule published --p 1e-2 --q 1e-2 --samples 3 --no-eval -o published
edit-random      edit tiny --rule random --p 1e-2 --q 1e-1 --seed 2 --samples 3 --no-eval --as delta -o random
edit-set         edit tiny --set law=law.jsonl --select "(law & privacy) - general" --p 1e-2 --q 1e-1 --samples 3 \
 --no-eval --as delta -o law-delta
edit-part        edit sharded --target all --part mlp --layers 1-3 --p 1e-2 --q 1e-1 --samples 3 --no-eval -o part
edit-bfloat16    edit tiny --dtype bfloat16 --p 1e-2 --q 1e-1 --samples 3 --no-eval --as delta -o bfloat16
edit-toml        edit tiny --recipe recipe.toml -o from-toml
edit-record      edit sharded --recipe delta/spin.json --as delta --no-eval -o from-record
edit-search      edit tiny --samples 2 --yes --as delta -o searched
edit-plan        edit sharded --plan --p 1e-2 --q 1e-1
edit-plan-search edit tiny --plan --samples 3
edit-plan-text   edit tiny --plan --p 1e-2 --q 1e-1
edit-examples    edit tiny --show-examples 1 --p 1e-2 --q 1e-1 --samples 3 --no-eval --as delta -o shown

apply-plan       apply delta variant --plan
apply-plan-text  apply delta variant --plan
apply-base       apply delta sharded -o applied
apply-variant    apply delta variant -o variant-model
apply-again      apply delta sharded-model -o again
revert           revert model -o reverted
revert-sharded   revert sharded-model -o sharded-reverted
revert-gpt2      revert gpt2-model -o gpt2-reverted

verify           verify sharded-model --base sharded
verify-text      verify sharded-model --base sharded
verify-quick     verify sharded-model --base sharded --quick
verify-gpt2      verify gpt2-model --base gpt2
verify-delta     verify delta --base sharded
verify-own       verify sharded-model --base sharded --delta delta
verify-other     verify sharded-model --base sharded --delta other-delta
verify-peft      verify peft --base sharded
verify-lora      verify lora --base sharded
verify-gpt2-lora verify gpt2-lora --base gpt2
verify-variant   verify variant-model --base variant
-                flip damaged/model.safetensors
verify-damaged   verify damaged --base tiny
verify-damaged-text verify damaged --base tiny

reproduce        reproduce delta --base sharded
reproduce-text   reproduce random --base tiny
reproduce-model  reproduce model --base tiny
reproduce-peft   reproduce peft --base sharded
reproduce-set    reproduce law-delta --base tiny --set law=law.jsonl
reproduce-select reproduce select-paper --base tiny

inspect-ranking  inspect tiny-ranking.safetensors
inspect-delta    inspect delta --png plots
inspect-file     inspect delta/spin_delta.safetensors
inspect-model    inspect sharded-model
inspect-text     inspect sharded-model
inspect-ranking-text inspect law-ranking.safetensors
inspect-peft     inspect peft
inspect-lora     inspect lora
inspect-lora-text inspect lora

export-peft      export delta --as peft --base sharded -o exported-peft
export-shira     export delta --as peft --peft-type shira --base sharded -o exported-shira
export-lora      export searched --as lora --base tiny -o exported-lora
export-lora-all  export delta --as lora --all-layers --no-measure --yes --base sharded -o exported-lora-all
export-gpt2-lora export gpt2-model --as lora --no-measure --yes --base gpt2 -o exported-gpt2-lora
verify-exported  verify exported-lora-all --base sharded
verify-shira     verify exported-shira --base sharded

card-model       card model
card-delta       card delta
card-peft        card peft
card-lora        card exported-lora

combine-and      combine delta other-delta --how and -o both
combine-or       combine delta other-delta --how or -o either
combine-sub      combine other-delta delta --how sub -o only-other
diff             diff delta other-delta
diff-text        diff delta other-delta
card-combined    card both
inspect-combined inspect either

sweep            sweep tiny --samples 2 --p 3e-3 --q 1e-3 --q 1e-1 --keep 1e-1 --pick best -o sweep
sweep-ranking    sweep tiny-ranking.safetensors --base tiny --p 5e-2 --q 5e-2 --layers 0-1 --layers 2-3 --pick 1 \
 -o sweep-ranking
sweep-published  sweep published-ranking.safetensors --base sharded --p 5e-3 --q 5e-3 --rule published --pick 1 \
 -o sweep-published
sweep-sharded    sweep sharded --samples 2 --p 5e-2 --q 5e-2 --q 1e-1 --keep 1e-1 --pick knee
sweep-text       sweep tiny --samples 2 --p 3e-3 --q 1e-3 --q 1e-1 --keep 1e-1 -o sweep

eval-likelihood  eval sharded-model --suite likelihood --limit 4
eval-answers     eval sharded-model --suite answers --limit 2 --new-tokens 4 --answers answers.jsonl
eval-delta       eval tiny --delta random --suite likelihood --limit 4 --no-record
eval-against     eval model --against tiny --suite likelihood --limit 4 --no-record
eval-text        eval model --suite full --limit 3 --new-tokens 4 --chat-template

bad-command      destroy tiny
bad-argument     edit
bad-option       edit tiny --nope
bad-p            edit tiny --p 2 --q 1e-1
bad-p-text       edit tiny --p 2 --q 1e-1
bad-number       edit tiny --q much
bad-rule         edit tiny --rule mine
bad-published    edit tiny --rule published --p 1e-3 --q 1e-2
bad-expression   edit tiny --select "fairness &"
bad-set          edit tiny --select "fairness & kindness"
bad-as           edit tiny --as gguf
bad-preset       edit tiny --preset mine
bad-recipe       edit tiny --recipe bad.toml
bad-memory       edit tiny --p 1e-2 --q 1e-1 --samples 3 --max-memory 1KiB
bad-target       edit tiny --p 1e-2 --q 1e-1 --samples 3 --target "nothing*"
bad-samples      edit tiny --p 1e-2 --q 1e-1 --samples 500
bad-model        edit ./missing --p 1e-2 --q 1e-1
bad-model-text   edit ./missing --p 1e-2 --q 1e-1
bad-hub          edit org/missing --p 1e-2 --q 1e-1
bad-quantised    edit quantised --p 1e-2 --q 1e-1 --samples 3
bad-shard        edit corrupt --p 1e-2 --q 1e-1 --samples 3
bad-shard-apply  apply delta corrupt -o bad
bad-weights      edit nan --p 1e-2 --q 1e-1 --samples 3
bad-columns      edit tiny --p 1e-2 --q 1e-1 --samples 3 --privacy columns.csv
bad-file         edit tiny --p 1e-2 --q 1e-1 --samples 3 --privacy missing.csv
bad-base         apply delta stranger -o bad
bad-shapes       apply delta gpt2 -o bad
bad-base-export  export delta --as peft --base stranger -o bad
bad-base-verify  verify sharded-model --base stranger
bad-combination  combine delta random --how and -o bad
bad-difference   diff delta random
bad-peft         edit gpt2 --p 1e-2 --q 1e-1 --samples 3 --no-eval --as peft -o bad
bad-peft-export  export gpt2-model --as peft --base gpt2 -o bad
bad-empty        combine delta sharded-model --how sub -o bad
bad-nothing      edit tiny --select "fairness - fairness" --q 1e-1 --samples 3 -o nothing
bad-ratio        edit tiny --p 1e-9 --q 1e-9 --samples 3
bad-beyond       select tiny-ranking.safetensors --p 5e-1 --q 1e-1 -o bad
bad-random       select tiny-ranking.safetensors --rule random --p 1e-2 --q 1e-2 -o bad
bad-exists       edit tiny --p 1e-2 --q 1e-1 --samples 3 -o model
bad-artefact     inspect tiny
bad-revert       revert tiny -o bad
bad-card         card missing
bad-reproduce    reproduce delta
bad-peft-type    export delta --as lora --peft-type shira --base sharded -o bad
bad-suite        eval model --suite none
bad-gain         sweep tiny --samples 2 --p 5e-2 --q 5e-2 --q 1e-1 --keep 1e-1 --pick best -o bad
bad-pick         sweep tiny --samples 2 --p 5e-2 --q 5e-2 --pick 9 --keep 1e-1 -o bad

edit-text        edit tiny --p 1e-2 --q 1e-1 --samples 3
"""
"""A name, and a command; ``--json`` is added where the name does not end in ``-text``."""

MODEL_COMMANDS: Final = """
model-score      score {model} --samples 4 --keep 1e-4 -o model-ranking.safetensors
model-edit       edit {model} --p 1e-5 --q 1e-4 --samples 4 -o model-edited
model-delta      edit {model} --p 1e-5 --q 1e-4 --samples 4 --no-eval --as delta -o model-delta
model-peft       export model-delta --as peft --base {model} -o model-peft
model-lora       export model-delta --as lora --yes --no-measure --base {model} -o model-lora
"""


def make_inputs(folder: Path) -> None:
    """Writes the checkpoints, sound and unsound ones, and the files that the commands name."""
    tied = models.tiny_config(tie_word_embeddings=True)
    ends = {"bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 258}
    small = GPT2Config(vocab_size=260, n_embd=32, n_layer=2, n_head=4, n_positions=2048, **ends)
    models.save_checkpoint(folder / "tiny")
    models.save_checkpoint(folder / "sharded", tied, torch.bfloat16, "40KB")
    models.save_checkpoint(folder / "stranger", tied, torch.bfloat16, "40KB", seed=1)
    models.save_checkpoint(folder / "gpt2", small)
    change_weights(shutil.copytree(folder / "sharded", folder / "variant"), lambda tensor: tensor * 1.01)
    change_weights(shutil.copytree(folder / "tiny", folder / "nan"), lambda tensor: tensor * float("nan"))
    config = shutil.copytree(folder / "tiny", folder / "quantised") / "config.json"
    settings = {"quant_method": "gptq", "bits": 4, "group_size": 128}
    config.write_text(json.dumps({**json.loads(config.read_text("utf-8")), "quantization_config": settings}), "utf-8")
    shard = min(shutil.copytree(folder / "sharded", folder / "corrupt").glob("*.safetensors"))
    os.truncate(shard, shard.stat().st_size - 64)
    rows = [{"prompt": f"What does rule {n} say?", "response": f"Rule {n} says that {n} may pass."} for n in range(9)]
    (folder / "law.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "columns.csv").write_text("question,reply\nWho?,Nobody.\nWhy?,Because.\nHow?,Somehow.\n", "utf-8")
    (folder / "recipe.toml").write_text('p = 1e-2\nq = 1e-1\nsamples = 3\nas = "delta"\nno-eval = true\n', "utf-8")
    (folder / "bad.toml").write_text("p = 'much'\n", "utf-8")


def change_weights(folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Changes every tensor of a checkpoint."""
    for path in sorted(folder.glob("*.safetensors")):
        tensors = {name: change(tensor).contiguous() for name, tensor in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})


def flip(run: Path, place: str) -> None:
    """Copies the edited model and inverts one byte of a shard of the copy."""
    shutil.copytree(run / "model", (run / place).parent)
    with (run / place).open("r+b") as shard:
        shard.seek(-9, os.SEEK_END)
        byte = shard.read(1)[0]
        shard.seek(-9, os.SEEK_END)
        shard.write(bytes([byte ^ 0xFF]))


def commands(model: Path | None) -> Iterator[tuple[str, list[str]]]:
    """The name and the arguments of each command."""
    text = COMMANDS + (MODEL_COMMANDS.format(model=shlex.quote(str(model.resolve()))) if model else "")
    for line in text.replace("\\\n", "").splitlines():
        name, *arguments = shlex.split(line) or [""]
        if name:
            yield name, arguments if name == "-" or name.endswith("-text") else [*arguments, "--json"]


def keep(kept: Path, model: Path | None, inputs: Path | None = None) -> None:
    """Runs all commands in a temporary folder and writes what is compared below ``kept``.

    Args:
        inputs: The checkpoints of an earlier run; made anew if None. Another version of PyTorch or transformers draws
            other random weights, so a comparison between versions must not make its own.
    """
    with tempfile.TemporaryDirectory(prefix="spin-hub-") as place:
        base = Path(place).resolve()
        run = base / "run"
        run.mkdir()
        environment = {**os.environ, "SPIN_HUB_CACHE": str(base / "cache"), "HF_HOME": str(base / "hub")}
        names = {str(run): "<run>", str(base): "<base>", **({str(model.resolve()): "<model>"} if model else {})}
        # In a fork too, so that no command begins with the state that making them leaves in the libraries.
        if inputs is None:
            made = forked.run(lambda: make_inputs(run), ["inputs"], run, environment, TIMEOUT)
            if made.returncode:
                raise SystemExit(made.stderr.decode())
            shutil.copytree(run, kept / CHECKPOINTS)
        else:
            shutil.copytree(inputs, run, dirs_exist_ok=True)
        write_files(kept / "inputs", run, sorted(changed({}, state(run))), names)
        for name, arguments in commands(model):
            if name == "-":
                flip(run, arguments[1])
                continue
            before = state(run)
            ended = forked.run(command_line, ["spin-hub", *arguments], run, environment, TIMEOUT)
            folder = kept / name
            write_files(folder, run, sorted(changed(before, state(run))), names)
            (folder / "exit-code.txt").write_text(f"{ended.returncode}\n", "utf-8")
            out = renamed(ended.stdout.decode(), names)
            write_output(folder, out, measured="--plan" not in arguments)
            (folder / "stderr.txt").write_text(without_figures(renamed(ended.stderr.decode(), names)), "utf-8")
            print(f"{name}: exit code {ended.returncode}", file=sys.stderr)


def state(run: Path) -> dict[str, tuple[int, ...]]:
    """Path -> what changes when a file is written."""
    stats = {path: path.stat() for path in run.rglob("*") if path.is_file()}
    return {path.relative_to(run).as_posix(): (s.st_ino, s.st_size, s.st_mtime_ns) for path, s in stats.items()}


def changed(before: dict[str, tuple[int, ...]], after: dict[str, tuple[int, ...]]) -> set[str]:
    """The files that were written or removed."""
    return {path for path in {*before, *after} if before.get(path) != after.get(path)}


def write_files(folder: Path, run: Path, paths: list[str], names: dict[str, str]) -> None:
    """Writes the digests of files, or their text."""
    folder.mkdir(parents=True)
    digests = {}
    for path in paths:
        if not (run / path).exists():
            digests[path] = "removed"
        elif Path(path).name in IN_FULL:
            text = renamed((run / path).read_text("utf-8"), names)
            target = folder / "files" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
            digests[path] = "in full"
        else:
            with (run / path).open("rb") as stream:
                digests[path] = hashlib.file_digest(stream, "sha256").hexdigest()
    (folder / "sha256.json").write_text(json.dumps(digests, indent=1) + "\n", "utf-8")


def write_output(folder: Path, text: str, measured: bool) -> None:
    """Writes a command's standard output: as JSON where it is one object, or else as text."""
    try:
        data = json.loads(text)
    except ValueError:
        (folder / "stdout.txt").write_text(without_figures(text) if measured else text, "utf-8")
    else:
        data = without_durations(data) if measured else data
        (folder / "stdout.json").write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")


def renamed(text: str, names: dict[str, str]) -> str:
    """Text without the paths of this run."""
    for path, name in names.items():
        text = text.replace(path, name)
    return text


def without_figures(text: str) -> str:
    """Text without speeds, durations and peaks of memory."""
    for pattern, name in REPLACED:
        text = pattern.sub(name, text)
    return text


def without_durations(data: Any) -> Any:
    """JSON without durations."""
    if isinstance(data, dict):
        return {key: "<time>" if key in VARYING else without_durations(value) for key, value in data.items()}
    return [without_durations(value) for value in data] if isinstance(data, list) else data


def differences(kept: Path, found: Path) -> Iterator[str]:
    """Every difference of two folders that ``keep`` wrote, as a line or some."""
    one, other = (
        {
            path.relative_to(folder).as_posix(): path
            for path in folder.rglob("*")
            if path.is_file() and CHECKPOINTS not in path.relative_to(folder).parts[:1]
        }
        for folder in (kept, found)
    )
    for name in sorted({*one, *other}):
        if Path(name).name == "stderr.txt":
            continue
        if name not in one or name not in other:
            yield f"{name}: {'new' if name not in one else 'missing'}"
            continue
        old, new = (paths[name].read_text("utf-8") for paths in (one, other))
        if old == new:
            continue
        if name.endswith(".json"):
            keys = list(json_differences(json.loads(old), json.loads(new)))
            yield from (f"{name}: {key}" for key in keys or ["equal values, another order or layout"])
        else:
            lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
            yield "\n".join((f"{name}:", *(f"    {line}" for line in list(lines)[2:])))


def json_differences(old: Any, new: Any, key: str = "") -> Iterator[str]:
    """Every key, as a path, at which two JSON values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            path = f"{key}.{name}" if key else name
            if name not in old:
                yield f"{path} is new: {shortened(new[name])}"
            elif name not in new:
                yield f"{path} is missing; was {shortened(old[name])}"
            else:
                yield from json_differences(old[name], new[name], path)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from json_differences(left, right, f"{key}[{number}]")
    elif type(old) is not type(new) or old != new:
        yield f"{key} was {shortened(old)}, is {shortened(new)}"


def shortened(value: Any, length: int = 300) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= length else f"{text[:length]}..."


def compare(kept: Path, model: Path | None) -> int:
    """Runs all commands again and prints the differences; the exit code."""
    with tempfile.TemporaryDirectory(prefix="spin-hub-") as place:
        found = Path(place) / "found"
        keep(found, model, kept / CHECKPOINTS)
        lines = list(differences(kept, found))
    print("\n".join(lines) if lines else "All outputs are equal.")
    return int(bool(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description="Outputs of a set of commands, kept and compared.")
    parser.add_argument("action", choices=("keep", "compare"))
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the outputs are kept")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="a model on which some commands run too")
    options = parser.parse_args()
    if options.action == "compare":
        if not (options.folder / CHECKPOINTS).is_dir():
            raise SystemExit(f"{options.folder} holds no outputs; make them with: outputs.py keep {options.folder}")
        sys.exit(compare(options.folder, options.model))
    if options.folder.exists() and any(options.folder.iterdir()):
        raise SystemExit(f"{options.folder} is not empty.")
    keep(options.folder, options.model)


if __name__ == "__main__":
    main()
