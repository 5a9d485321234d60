"""Depth takes time, not memory: a model of twice the layers is scored in the memory of the smaller one."""

import json
import os
import subprocess
import sys

import models
import pytest
import torch

PROBE = """
import gc, json, sys, threading
from pathlib import Path

import torch
import transformers
import spin_hub
from spin_hub.recipe import Destination, ScoringRecipe
from spin_hub.workflows import score

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))

def peak_of(task):
    peak, done = [0], threading.Event()
    gc.collect()
    before = anonymous()

    def watch():
        while not done.wait(0.002):
            peak[0] = max(peak[0], anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        recipe = ScoringRecipe(samples=1, max_length=200, engine=task["engine"])
        score.score(task["model"], recipe, Destination(Path(task["output"]), True))
    finally:
        done.set()
        watcher.join()
    return peak[0] - before

torch.set_num_threads(1)
tasks = json.loads(sys.argv[1])
# What is made once in a process is made before anything is measured.
peak_of(tasks[0])
print(json.dumps([peak_of(task) for task in tasks]))
"""


@pytest.mark.moderate
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's own account of memory")
def test_twice_the_layers_take_the_memory_of_one_model_within_a_tenth(tmp_path):
    # What is kept of every layer, its inputs, is small beside one matrix.
    shape = {"hidden_size": 512, "intermediate_size": 6144, "num_attention_heads": 8}
    tasks = {}
    for layers in (3, 6):
        # Float32 is fast everywhere, and is mapped as it lies in the file.
        config = models.tiny_config(num_hidden_layers=layers, **shape)
        model = models.save_checkpoint(tmp_path / f"m{layers}", config, torch.float32)
        for engine in ("layerwise", "whole"):
            output = str(tmp_path / f"{engine}-{layers}")
            tasks[engine, layers] = {"model": str(model), "output": output, "engine": engine}
    command = [sys.executable, "-c", PROBE, json.dumps(list(tasks.values()))]
    # Freed blocks go back to the system at once, so that the peak does not depend on what else was freed.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "100000", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    peaks = dict(zip(tasks, json.loads(done.stdout), strict=True))
    assert peaks["layerwise", 6] <= 1.1 * peaks["layerwise", 3], peaks
    # The measure sees what it should: the whole engine's sums grow with the layers.
    assert peaks["whole", 6] >= 1.5 * peaks["whole", 3], peaks
