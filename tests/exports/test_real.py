"""The adapters of a real model: stock PEFT, without spin-hub, gives the edited model bit by bit in every precision."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import verbs
from making import delta_file
from test_stock import DTYPES, WITHOUT_SPIN_HUB
from transformers import AutoModelForCausalLM

import spin_hub
from spin_hub.recipe import Destination
from spin_hub.workflows.demo import NAME

HALVES = ("bfloat16", "float16")


@pytest.mark.moderate
@pytest.mark.parametrize("dtype", ["float32", *(pytest.param(name, marks=pytest.mark.slow) for name in HALVES)])
def test_stock_peft_gives_the_edited_model(smollm2, tmp_path, dtype):
    base = tmp_path / NAME
    shutil.copytree(smollm2, base)
    if dtype != "bfloat16":
        AutoModelForCausalLM.from_pretrained(base, dtype=DTYPES[dtype]).save_pretrained(base)
    delta = delta_file(base, tmp_path / "delta.safetensors", share=2e-5)
    verbs.apply(delta, base, Destination(tmp_path / "edited"))
    jobs = []
    for form in ("peft", "lora"):
        request = spin_hub.ExportRequest(
            str(delta),
            str(base),
            Destination(tmp_path / form),
            form=form,
            yes=True,
            measure=None if form == "peft" else False,
        )
        spin_hub.export(request)
        jobs.append({"base": NAME, "edited": "edited", "adapter": form, "way": "peft"})
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_SPIN_HUB, Path(__file__).with_name("stock.py")],
        input=json.dumps(jobs), capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sparse, lora = json.loads(done.stdout)
    assert sparse["matters"]
    assert all(sparse[name] for name in ("unmerged", "merged", "weights"))
    assert all(lora[name] for name in ("merged", "weights"))
    assert torch.isfinite(torch.tensor(lora["error"]))
