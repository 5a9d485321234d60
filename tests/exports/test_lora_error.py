"""The measured LoRA is PEFT's, and the measure sees what it should."""

import models
import pytest
import torch
from making import delta_of, skeleton_of
from transformers import AutoModelForCausalLM

from spin_hub.artifacts.container import write_tensors
from spin_hub.core.selection import Selection
from spin_hub.data.examples import IGNORE, Example
from spin_hub.exports.adapter import WEIGHTS, write_config
from spin_hub.exports.lora import lora
from spin_hub.exports.lora_error import Beside, pairs_of, unmerged_error
from spin_hub.exports.modules import touched_modules


def example(seed: int, length: int) -> Example:
    ids = torch.randint(0, 250, (length,), generator=torch.Generator().manual_seed(seed))
    labels = ids.clone()
    labels[:4] = IGNORE
    return Example(ids, labels, seed)


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16, torch.float16], ids=str)
def case(request, tmp_path_factory):
    folder = models.save_checkpoint(tmp_path_factory.mktemp("unmerged") / "tiny", dtype=request.param)
    delta = delta_of(folder)
    modules = touched_modules(delta, skeleton_of(folder))
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    return folder, delta, modules, model


# PEFT asks transformers for a property that this version of it deprecates.
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_outputs_beside_the_base_are_those_of_peft_bit_by_bit(case, tmp_path):
    from peft import PeftModel

    folder, _, modules, model = case
    adapter = lora(modules, [module.name for module in modules])
    write_config(tmp_path, adapter, "tiny", None)
    write_tensors(tmp_path / WEIGHTS, adapter.tensors(), {"format": "pt"})
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), tmp_path).eval()
    ids = torch.arange(40).reshape(2, 20)
    with torch.inference_mode():
        before = model(input_ids=ids).logits
        with Beside(model, pairs_of(modules)):
            ours = model(input_ids=ids).logits
        assert torch.equal(ours, theirs(input_ids=ids).logits)
        assert not torch.equal(ours, before)
        assert torch.equal(model(input_ids=ids).logits, before)


def test_the_edit_itself_is_nothing_away_from_it_and_the_lora_a_little(case):
    _, delta, modules, model = case
    examples, told = [example(1, 12), example(2, 30)], []
    found = unmerged_error(model, delta.selection, pairs_of(modules), examples, told.append)
    assert 0 < found.mean < found.largest < 0.05 * found.logit
    assert (found.tokens, found.examples, sum(told)) == (8 + 26, 2, 2 * 42)
    nothing = unmerged_error(model, Selection({}), {}, examples, told.append)
    assert (nothing.largest, nothing.mean, nothing.changed) == (0, 0, 0)


def test_an_adapter_that_is_missing_shows(case):
    _, delta, modules, model = case
    right = unmerged_error(model, delta.selection, pairs_of(modules), [example(1, 30)], lambda _: None)
    wrong = unmerged_error(model, delta.selection, {}, [example(1, 30)], lambda _: None)
    assert wrong.largest > 5 * right.largest
