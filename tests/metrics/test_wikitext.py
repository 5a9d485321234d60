"""Windows of running text against a model called by hand."""

import math

import models
import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from spin_hub.core.selection import Selection
from spin_hub.data.examples import IGNORE
from spin_hub.metrics.base import nothing
from spin_hub.metrics.states import Other
from spin_hub.metrics.wikitext import wikitext, windows

TOKENS = torch.randint(0, 256, (100,), generator=torch.Generator().manual_seed(0)).tolist()


def test_windows_are_equal_and_the_rest_is_left_out():
    cut = windows(TOKENS, 32)
    assert [example.ids.tolist() for example in cut] == [TOKENS[:32], TOKENS[32:64], TOKENS[64:96]]
    assert all(example.labels[0] == IGNORE and example.counted == 31 for example in cut)
    assert [example.row for example in windows(TOKENS, 32, 2)] == [0, 1]
    assert windows(TOKENS, 101) == []
    with pytest.raises(ValueError, match="two tokens"):
        windows(TOKENS, 1)


def test_it_is_the_perplexity_of_the_published_code():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(models.tiny_config()).eval()
    torch.manual_seed(1)
    other = AutoModelForCausalLM.from_config(models.tiny_config()).eval()
    size = 32
    losses = {}
    for name, found in {"base": model, "edited": other}.items():
        total = 0.0
        for start in range(0, 96, size):
            ids = torch.tensor(TOKENS[start : start + size])[None]
            with torch.no_grad():
                logits = found(ids).logits
            # As that code has it: the window's mean loss, times its size, over the sizes of all windows.
            total += float(functional.cross_entropy(logits[0, :-1], ids[0, 1:])) * size
        losses[name] = math.exp(total / 96)
    spent = []
    metric = wikitext(model, windows(TOKENS, size), {"edited": Other(other, Selection({}))}, spent.append)
    assert {state: value.value for state, value in metric.values.items()} == pytest.approx(losses, rel=1e-5)
    assert sum(spent) == 2 * 96
    assert metric.values["base"].n == 3
    with pytest.raises(ValueError, match="no windows"):
        wikitext(model, [], {}, nothing)
