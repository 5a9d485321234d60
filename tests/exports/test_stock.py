"""Stock PEFT and transformers, in a process without spin-hub, give the edited model bit by bit."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import architectures
import models
import pytest
import torch
import verbs
from making import delta_file

import spin_hub
from spin_hub.recipe import Destination

pytestmark = pytest.mark.moderate

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PEFT = ("llama", "qwen2", "gemma3")
LORA = (*PEFT, "gpt2")


@dataclass(frozen=True)
class Job:
    architecture: str
    dtype: str
    form: str
    way: str

    @property
    def model(self) -> str:
        return f"{self.architecture}-{self.dtype}"

    def __str__(self) -> str:
        return f"{self.model}-{self.form}-{self.way}"


JOBS = (
    *(Job(name, dtype, "supertuning", "peft") for name in PEFT for dtype in DTYPES),
    *(Job(name, dtype, "lora", "auto") for name in LORA for dtype in DTYPES),
    *(Job("llama", dtype, "shira", "peft") for dtype in DTYPES),
    *(Job("qwen2", "bfloat16", "supertuning", way) for way in ("auto", "load_adapter", "transformers")),
    *(Job(name, "bfloat16", "all-layers", "peft") for name in ("llama", "gpt2")),
    Job("qwen2", "bfloat16", "lora", "transformers"),
)
WITHOUT_SPIN_HUB = "import runpy, sys; sys.modules['spin_hub'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"
EXACT_BESIDE = ("supertuning", "shira")


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[Job, dict[str, object]]:
    root = tmp_path_factory.mktemp("stock")
    for model in sorted({job.model for job in JOBS}):
        name, dtype = model.split("-")
        models.save_checkpoint(root / model, architectures.CONFIGS[name], DTYPES[dtype])
        delta_file(root / model, root / f"{model}.safetensors", seed=len(model))
        verbs.apply(root / f"{model}.safetensors", root / model, Destination(root / f"{model}-spin"))
    for model, form in sorted({(job.model, job.form) for job in JOBS}):
        spin_hub.export(_request(root, model, form))
    jobs = [
        {"base": job.model, "edited": f"{job.model}-spin", "adapter": f"{job.model}-{job.form}", "way": job.way}
        for job in JOBS
    ]
    script = Path(__file__).with_name("stock.py")
    # The base is a local folder, so the adapters name it, and it is found in the working folder.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_SPIN_HUB, script],
        input=json.dumps(jobs), capture_output=True, text=True, cwd=root, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(zip(JOBS, json.loads(done.stdout), strict=True))


def _request(root: Path, model: str, form: str) -> "spin_hub.ExportRequest":
    return spin_hub.ExportRequest(
        delta=str(root / f"{model}.safetensors"),
        form="peft" if form in EXACT_BESIDE else "lora",
        base=str(root / model),
        peft_type=form if form in EXACT_BESIDE else None,
        all_layers=form == "all-layers",
        measure=None if form in EXACT_BESIDE else False,
        yes=True,
        destination=Destination(root / f"{model}-{form}"),
    )


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_the_edit_matters(job, answers):
    assert answers[job]["matters"]


@pytest.mark.parametrize("job", [job for job in JOBS if job.form in EXACT_BESIDE], ids=str)
def test_beside_the_base_the_outputs_are_the_edited_models(job, answers):
    assert answers[job]["unmerged"]


@pytest.mark.parametrize("job", [job for job in JOBS if job.way in ("peft", "auto")], ids=str)
def test_merged_every_weight_and_every_output_is_the_edited_models(job, answers):
    assert answers[job]["weights"]
    assert answers[job]["merged"]


@pytest.mark.parametrize("job", [job for job in JOBS if job.form not in EXACT_BESIDE], ids=str)
def test_an_unmerged_lora_is_close(job, answers):
    assert answers[job]["error"] < {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}[job.dtype]
