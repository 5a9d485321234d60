"""How far an unmerged LoRA is from the edit, on texts that come with the package."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from spin_hub.artifacts.base_model import Base
from spin_hub.core.compat import values_of
from spin_hub.core.factors import Factors
from spin_hub.core.selection import Selection
from spin_hub.data.builtin import builtin_rows
from spin_hub.data.examples import make_examples
from spin_hub.errors import CoordinatesDiffer
from spin_hub.exports.additive import negated
from spin_hub.exports.lora import factors_by_module
from spin_hub.exports.lora_error import Pair, unmerged_error
from spin_hub.exports.modules import Touched
from spin_hub.models.device import choose_device, free_memory, place
from spin_hub.models.load import load_tokenizer
from spin_hub.models.widening import load_running
from spin_hub.progress import Reporter, step
from spin_hub.recipe import ScoringRecipe

TEXTS: Final = 8
"""How many texts are read: the first of the built-in calibration set ``general``."""


def is_cheap(base: Base) -> bool:
    """Whether the model's weights are here and fit into the memory that is free."""
    free = free_memory(choose_device("auto"))
    return base.source.elsewhere is None and (free is None or base.copy_bytes <= free)


def measure_unmerged(
    base: Base, modules: Sequence[Touched], trust_remote_code: bool, reporter: Reporter
) -> dict[str, Any]:
    """Loads the base and compares the edit in its weights with the LoRA beside them.

    Returns:
        The figures of :class:`spin_hub.exports.lora_error.UnmergedError` as plain JSON values, with the precision and
        the name of the texts.

    Raises:
        CoordinatesDiffer: a touched weight in memory is not the checkpoint's.
        SpinHubError: the model or its tokenizer cannot be loaded.
    """
    tokenizer = load_tokenizer(base.source.folder, trust_remote_code)
    rows = builtin_rows("general", "calibration")[:TEXTS]
    examples = make_examples("general", rows, tokenizer, ScoringRecipe(trust_remote_code=trust_remote_code))
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
    """A and B of every module, float32, as they stand in the adapter's file."""
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
