"""The error of a LoRA that is loaded beside its base instead of merged into it.

Settings: x @ A.T @ B.T is added to the output of every touched module, as PEFT does it: A, B and the product in float32
where the model runs in half precision, the sum rounded to the model's type. Compared are the logits of the model with
the edit in its weights, over the whole vocabulary, at every response token of the examples.
Corrects for: nothing. The sum of two large terms that should cancel is rounded where the edited weight has no term
at all, so that the error grows with the touched weights times their inputs, not with the outputs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from torch import Tensor

from spin_hub.artifacts.base_model import Base
from spin_hub.core.dtypes import values_of
from spin_hub.core.factors import Factors
from spin_hub.core.selection import Selection
from spin_hub.data.builtin import builtin_rows
from spin_hub.data.examples import Example, make_examples
from spin_hub.errors import CoordinatesDiffer, NotFinite
from spin_hub.exports.adapter import negated
from spin_hub.exports.modules import Touched, factors_by_module
from spin_hub.models.batches import Batch, one_by_one
from spin_hub.models.device import choose_device, free_memory, place
from spin_hub.models.edit import switched
from spin_hub.models.forward import Hooks, ResponseLogits
from spin_hub.models.limits import cut_all, positions_of
from spin_hub.models.load import load_tokenizer
from spin_hub.models.widening import load_running
from spin_hub.progress import Reporter, step
from spin_hub.recipe import ScoringRecipe
from spin_hub.units import human_bytes

TEXTS: Final = 8
"""The number of texts that are read: the first of the built-in calibration set ``general``."""

Pair: TypeAlias = tuple[Tensor, Tensor]
"""A, shape (rank, in), and B, shape (out, rank), of any float type."""


@dataclass(frozen=True)
class UnmergedError:
    """Unmerged against edited.

    Attributes:
        largest: the largest difference of a logit.
        mean: the mean absolute difference.
        logit: the largest absolute logit of the edited model, to compare with.
        changed: at how many tokens another token is the likeliest.
        tokens: how many were compared.
        examples: of how many texts.
    """

    largest: float
    mean: float
    logit: float
    changed: int
    tokens: int
    examples: int

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


class Beside(Hooks):
    """A block within which modules of a loaded model add what a LoRA adds.

    Args:
        model: of transformers, in eval mode.
        pairs: module -> its A and B.
    """

    def __init__(self, model: Any, pairs: Mapping[str, Pair]) -> None:
        super().__init__()
        self._modules = {name: model.get_submodule(name) for name in pairs}
        self._pairs = pairs

    def __enter__(self) -> "Beside":
        for name, module in self._modules.items():
            self.handles.append(module.register_forward_hook(_adding(*self._pairs[name])))
        return self


@torch.inference_mode()
def unmerged_error(
    model: Any,
    selection: Selection,
    pairs: Mapping[str, Pair],
    examples: Sequence[Example],
    advance: Callable[[int], None],
) -> UnmergedError:
    """Compare the edited model with the base and a LoRA beside it; the model is left as it was, bit by bit.

    Args:
        model: the base, a causal language model of transformers in eval mode.
        selection: the edit.
        pairs: module -> A and B of the LoRA, with a scale of 1.
        examples: what is read; at least one.
        advance: called with the number of tokens of every forward pass.

    Raises:
        NotFinite: a logit.
    """
    largest, total, logit, changed, tokens, elements = 0.0, 0.0, 0.0, 0, 0, 0
    for batch in (batch.to(model.device) for batch in one_by_one(examples)):
        with switched(model, selection):
            edited = _logits(model, batch, advance).float()
        with Beside(model, pairs):
            beside = _logits(model, batch, advance).float()
        difference = (edited - beside).abs()
        if not torch.isfinite(difference).all():
            raise NotFinite(what="A logit", where=f"for row {batch.rows[0]} of the texts")
        largest, logit = max(largest, float(difference.max())), max(logit, float(edited.abs().max()))
        total, elements = total + float(difference.double().sum()), elements + difference.numel()
        changed += int((edited.argmax(-1) != beside.argmax(-1)).sum())
        tokens += len(edited)
    return UnmergedError(largest, total / elements, logit, changed, tokens, len(examples))


def _logits(model: Any, batch: Batch, advance: Callable[[int], None]) -> Tensor:
    with ResponseLogits(model, batch) as head:
        logits = head.select(model(input_ids=batch.ids, use_cache=False).logits)
    advance(sum(batch.lengths))
    return logits


def _adding(a: Tensor, b: Tensor) -> Callable[[Any, tuple[Tensor, ...], Tensor], Tensor]:
    def hook(_: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        # PEFT keeps its own weights in float32 beside a model in half precision.
        wide = torch.promote_types(output.dtype, torch.float32)
        first, second = (factor.to(output.device, wide) for factor in (a, b))
        added = torch.nn.functional.linear(torch.nn.functional.linear(inputs[0].to(wide), first), second)
        return (output + added).to(output.dtype)

    return hook


def too_dear(base: Base) -> str | None:
    """Return the reason why the model is not measured unasked, or None if its weights are here and fit into memory."""
    if base.source.elsewhere is not None:
        return "the base's weights are not here"
    free = free_memory(choose_device("auto"))
    if free is None or base.copy_bytes <= free:
        return None
    return f"the base takes {human_bytes(base.copy_bytes)}, and {human_bytes(free)} of memory are free"


def measure_unmerged(
    base: Base, modules: Sequence[Touched], trust_remote_code: bool, reporter: Reporter
) -> dict[str, Any]:
    """Load the base and compare the edit in its weights with the LoRA beside them.

    Returns:
        The figures of :class:`spin_hub.exports.lora_error.UnmergedError` as plain JSON values, with the precision and
        the name of the texts.

    Raises:
        CoordinatesDiffer: a touched weight in memory is not the checkpoint's.
        SpinHubError: the model or its tokenizer cannot be loaded.
    """
    tokenizer = load_tokenizer(base.source.folder, trust_remote_code)
    rows = builtin_rows("general", "calibration")[:TEXTS]
    read = make_examples("general", rows, tokenizer, ScoringRecipe(trust_remote_code=trust_remote_code))
    examples = cut_all(read, positions_of(base.index, trust_remote_code))
    where = place("auto", "auto", base.index)
    reporter.note(where.sentence)
    with step(reporter, "Loading the model"):
        model = load_running(base.index, where, trust_remote_code)
    with step(reporter, "Comparing the weights with the checkpoint"):
        for module in modules:
            _check_same(module, model)
    selection = Selection({f"{module.name}.weight": module.edit.indices for module in modules})
    with reporter.task("Measuring the unmerged LoRA", 2 * sum(map(len, examples)), "tokens") as advance:
        found = unmerged_error(model, selection, pairs_of(modules), examples, advance)
    return {**found.to_json(), "dtype": where.precision, "texts": "builtin:general"}


def pairs_of(modules: Sequence[Touched]) -> dict[str, Pair]:
    """A and B of every module, float32, as in the adapter's file."""
    factors = factors_by_module(modules)
    rank = max(entry.rank for entry in factors.values())
    return {module.name: _pair(module, factors[module.name], rank) for module in modules}


def _pair(module: Touched, factors: Factors, rank: int) -> Pair:
    values = values_of(negated(module.edit), module.edit.dtype).astype(np.float32)
    a, b = factors.fill(values, np.ones((), np.float32), rank)
    return torch.from_numpy(a), torch.from_numpy(b)


def _check_same(module: Touched, model: Any) -> None:
    parameter = f"{module.name}.weight"
    weight: Tensor = model.get_parameter(parameter).detach()
    here = weight.view(-1)[torch.tensor(module.edit.indices, device=weight.device)].cpu()
    original = torch.from_numpy(values_of(module.edit.original, module.edit.dtype)).to(weight.dtype)
    if not torch.equal(here, original):
        raise CoordinatesDiffer(parameter=parameter, why="its values there are not those in memory")
