"""How an adapter looks on a terminal."""

from typing import TYPE_CHECKING

from spin_hub.cli.console import Screen

if TYPE_CHECKING:
    from spin_hub.artifacts.write import Outcome


def show_adapter(screen: Screen, outcome: "Outcome") -> None:
    """What it is, where it is exact, and what it is off by elsewhere."""
    record = outcome.record
    about = record.adapter or {}
    rank = [] if about["rank"] is None else [("rank", str(about["rank"]))]
    exact = "merged and unmerged" if record.kind == "peft" else "when merged"
    facts = [
        ("type", about["type"] + (f" (peft {about['peft_since']} and newer)" if about["peft_since"] else "")),
        *rank,
        ("weights", f"{record.result.weights:,} made zero, in {record.result.tensors} of {about['modules']} modules"),
        ("size", f"{about['bytes'] / 1024:,.1f} KiB"),
        ("exact", f"{exact}, on {record.model.repo_id or record.model.name} {record.model.commit or ''}".rstrip()),
    ]
    unmerged = about["unmerged"]
    if unmerged:
        of = f"of logits up to {unmerged['logit']:.3g}, on {unmerged['tokens']:,} tokens in {unmerged['dtype']}"
        facts.append(("unmerged", f"off by {unmerged['largest']:.3g} at most, {unmerged['mean']:.2g} on average, {of}"))
    screen.facts("", [*facts, ("output", str(outcome.output))])
    if record.model.repo_id:
        screen.line(f"\nLoad it with: AutoPeftModelForCausalLM.from_pretrained({str(outcome.output)!r})")
    else:
        screen.line(f"\nLoad it with: PeftModel.from_pretrained(base, {str(outcome.output)!r})")
