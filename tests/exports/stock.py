"""Loads adapters with PEFT and transformers alone, and compares them with edited models: jobs to stdin, answers out."""

import json
import sys

import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM

IDS = torch.arange(2 * 23).reshape(2, 23) * 5 % 250


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def load(way: str, base: str, adapter: str) -> torch.nn.Module:
    if way == "auto":
        return AutoPeftModelForCausalLM.from_pretrained(adapter)
    if way == "transformers":
        return AutoModelForCausalLM.from_pretrained(adapter)
    model = AutoModelForCausalLM.from_pretrained(base)
    if way == "load_adapter":
        model.load_adapter(adapter)
        return model
    return PeftModel.from_pretrained(model, adapter)


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(
        one.contiguous().view(torch.uint8), other.contiguous().view(torch.uint8)
    )


def answer(job: dict[str, str]) -> dict[str, object]:
    edited = AutoModelForCausalLM.from_pretrained(job["edited"])
    expected, untouched = logits(edited), logits(AutoModelForCausalLM.from_pretrained(job["base"]))
    model = load(job["way"], job["base"], job["adapter"])
    beside = logits(model)
    found = {
        "matters": not torch.equal(expected, untouched),
        "unmerged": same_bits(beside, expected),
        "error": float((beside.float() - expected.float()).abs().max()),
    }
    if job["way"] in ("peft", "auto"):
        merged = model.merge_and_unload()
        weights = dict(edited.named_parameters())
        found["merged"] = same_bits(logits(merged), expected)
        found["weights"] = all(same_bits(weight, weights[name]) for name, weight in merged.named_parameters())
    return found


if __name__ == "__main__":
    json.dump([answer(job) for job in json.load(sys.stdin)], sys.stdout)
