"""Depth takes time, not memory: a model of twice the layers is scored in the memory of the smaller one."""

import json
import os
import subprocess
import sys

import models
import pytest
import torch

PROBE = """
import json, sys, threading, time
from pathlib import Path

import torch
import transformers
import spin_hub
from spin_hub.recipe import Destination, ScoringRecipe
from spin_hub.workflows import score

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))

task = json.loads(sys.argv[1])
torch.set_num_threads(1)
peak, done, before = [0], threading.Event(), anonymous()

def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], anonymous())

watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
recipe = ScoringRecipe(samples=1, max_length=200, engine=task["engine"])
spin_hub.score(task["model"], recipe, Destination(Path(task["output"])))
done.set()
watcher.join()
print(peak[0] - before)
"""


@pytest.mark.moderate
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's own account of memory")
def test_twice_the_layers_take_the_memory_of_one_model_within_a_tenth(tmp_path):
    shape = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 8}
    peaks = {}
    for layers in (3, 6):
        model = models.save_checkpoint(
            tmp_path / f"m{layers}", models.tiny_config(num_hidden_layers=layers, **shape), torch.float32
        )
        for engine in ("layerwise", "whole"):
            task = {"model": str(model), "output": str(tmp_path / f"{engine}-{layers}"), "engine": engine}
            command = [sys.executable, "-c", PROBE, json.dumps(task)]
            # Freed blocks go back to the system at once, so that the peak does not depend on what else was freed.
            environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "100000", "MALLOC_ARENA_MAX": "1"}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
            peaks[engine, layers] = int(done.stdout)
    assert peaks["layerwise", 6] <= 1.1 * peaks["layerwise", 3]
    # The measure sees what it should: the whole engine's sums grow with the layers.
    assert peaks["whole", 6] >= 1.5 * peaks["whole", 3]
