"""A LoRA that is an edit exactly when it is merged, of the least rank that its positions allow."""

from collections.abc import Mapping, Sequence
from typing import Final

from spin_hub.core.factors import Factors, factors_of
from spin_hub.exports.adapter import PREFIX, Adapter, Array
from spin_hub.exports.additive import negated, one
from spin_hub.exports.modules import Touched

LARGEST: Final = 64
"""The rank up to which servers usually take adapters."""


def lora(modules: Sequence[Touched], targets: Sequence[str]) -> Adapter:
    """An adapter of type ``LORA``: all modules have the rank of the one that needs most, and alpha is equal to it.

    Servers scale by alpha over one rank for all, and not all read a pattern of ranks; terms of zeros change nothing.

    Args:
        modules: those with an edit get its factors, the others zeros; in the weights' own types.
        targets: what ``target_modules`` says of them.
    """
    factors = factors_by_module(modules)
    rank = max(entry.rank for entry in factors.values())
    layouts = {}
    for module in modules:
        features_out, features_in = module.out_in
        a, b = _names(module)
        layouts[a] = (module.edit.dtype, (rank, features_in))
        layouts[b] = (module.edit.dtype, (features_out, rank))
    settings = {
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": any(module.transposed for module in modules),
    }
    return Adapter("LORA", targets, settings, layouts, lambda: _fill(modules, factors, rank), rank)


def factors_by_module(modules: Sequence[Touched]) -> dict[str, Factors]:
    """Module -> the factors of its edit, as matrices (out, in); of rank 0 where it has none."""
    return {module.name: factors_of(module.edit.indices, module.shape, module.transposed) for module in modules}


def _fill(modules: Sequence[Touched], factors: Mapping[str, Factors], rank: int) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for module in modules:
        entry = factors[module.name]
        filled = entry.fill(negated(module.edit), one(module.edit.dtype), rank)
        arrays |= dict(zip(_names(module), filled, strict=True))
    return arrays


def _names(module: Touched) -> tuple[str, str]:
    return f"{PREFIX}{module.name}.lora_A.weight", f"{PREFIX}{module.name}.lora_B.weight"
