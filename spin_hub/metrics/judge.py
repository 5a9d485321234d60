"""The judge of ``--judge``: phrases, or a guard model that is loaded here."""

from typing import Final

from spin_hub.artifacts.base_model import open_base, open_headers
from spin_hub.errors import GuardUnusable, UsageError
from spin_hub.metrics.guards import PROFILES, GuardJudge
from spin_hub.metrics.judging import Judge, LexicalJudge
from spin_hub.models.device import free_memory, place, stored_dtype
from spin_hub.models.load import check_causal, load_tokenizer
from spin_hub.models.widening import load_running
from spin_hub.progress import Reporter, step
from spin_hub.recipe import Device
from spin_hub.units import human_bytes

LEXICAL: Final = "lexical"


def guard_of(judge: str) -> tuple[str, str] | None:
    """The profile and the model of a judge such as ``qwen3guard=org/name``; None of the lexical one.

    Raises:
        UsageError: there is no such judge.
    """
    if judge == LEXICAL:
        return None
    profile, _, name = judge.partition("=")
    if profile not in PROFILES:
        raise UsageError(message=f"--judge takes {LEXICAL}, {', '.join(PROFILES)}, not {judge!r}.")
    return profile, name or PROFILES[profile].model


def check_judge(judge: str, device: Device) -> None:
    """Refuses a judge that cannot be loaded, before anything is generated.

    Raises:
        GuardUnusable: its weights are larger than the memory that is free.
        SpinHubError: the model is not there, or no causal language model.
    """
    guard = guard_of(judge)
    if guard is None:
        return
    base = open_headers(guard[1])
    check_causal(base.source.folder, base.index.config)
    where = place(device, "auto", base.index)
    free = free_memory(where.device)
    needed = base.copy_bytes * where.dtype.itemsize // stored_dtype(base.index).itemsize
    if free is not None and needed > free:
        why = f"its weights take {human_bytes(needed)} in {where.precision}, and {human_bytes(free)} are free"
        raise GuardUnusable(name=guard[0], why=why)


def load_judge(judge: str, device: Device, reporter: Reporter) -> Judge:
    """The judge, its model loaded where it has one."""
    guard = guard_of(judge)
    if guard is None:
        return LexicalJudge()
    profile, name = guard
    base = open_base(name, reporter)
    where = place(device, "auto", base.index)
    reporter.note(f"The judge: {where.sentence}")
    with step(reporter, "Loading the judge"):
        model = load_running(base.index, where, trust_remote_code=False)
        return GuardJudge(PROFILES[profile], model, load_tokenizer(base.source.folder, False))
