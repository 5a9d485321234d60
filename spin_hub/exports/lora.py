"""The export ``lora``: a LoRA that is an edit exactly when it is merged, of the least rank that its positions allow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spin_hub.artifacts.base_model import Base
from spin_hub.core.delta import Delta
from spin_hub.core.factors import Factors
from spin_hub.core.ranking import Shape, count_of
from spin_hub.errors import RankTooLarge, SpinHubError
from spin_hub.exports.adapter import PREFIX, Adapter, Array, PeftType, negated, one
from spin_hub.exports.base import ExportOptions
from spin_hub.exports.lora_error import measure_unmerged, too_dear
from spin_hub.exports.modules import Touched, every_layer, factors_by_module, short_names
from spin_hub.exports.peft_adapter import AdapterExport, AdapterMade
from spin_hub.kinds import LARGEST_RANK, LORA
from spin_hub.progress import Reporter
from spin_hub.recipe import SelectionRecipe
from spin_hub.record import Record
from spin_hub.units import human_bytes


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


def _fill(modules: Sequence[Touched], factors: Mapping[str, Factors], rank: int) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for module in modules:
        entry = factors[module.name]
        filled = entry.fill(negated(module.edit), one(module.edit.dtype), rank)
        arrays |= dict(zip(_names(module), filled, strict=True))
    return arrays


def _names(module: Touched) -> tuple[str, str]:
    return f"{PREFIX}{module.name}.lora_A.weight", f"{PREFIX}{module.name}.lora_B.weight"


@dataclass(frozen=True)
class LoraMade(AdapterMade):
    """A LoRA, which may be measured beside its base before it is written."""

    def about(self, reporter: Reporter) -> dict[str, Any]:
        """Return type, rank and size, and how far the unmerged LoRA is from the edit."""
        return {**super().about(reporter), "unmerged": self._unmerged(reporter)}

    def _unmerged(self, reporter: Reporter) -> dict[str, Any] | None:
        options, base = self.options, self.base
        if options.measure is False:
            return None
        if options.measure is None and (why := too_dear(base)):
            reporter.note(f"The unmerged LoRA was not measured: {why} (--measure does it all the same).")
            return None
        try:
            return measure_unmerged(base, self.modules, options.trust_remote_code, reporter)
        except SpinHubError as error:
            # Nobody asked for the figure, and the adapter is right without it.
            if options.measure:
                raise
            reporter.note(f"The unmerged LoRA was not measured. {error.message}")
            return None


class LoraExport(AdapterExport):
    """A LoRA of the least rank that its positions allow."""

    facts = LORA
    exact = "when merged"
    made = LoraMade

    def type(self, options: ExportOptions) -> PeftType:
        """Return ``LORA``."""
        return "LORA"

    def adapter(self, options: ExportOptions, modules: Sequence[Touched], skeleton: Any) -> Adapter:
        """Return the LoRA of the touched modules, or of every layer."""
        if options.all_layers:
            everywhere = every_layer(modules, skeleton)
            return lora(everywhere, short_names(everywhere, skeleton))
        return lora(modules, [module.name for module in modules])

    def make(self, options: ExportOptions, delta: Delta, base: Base, reporter: Reporter) -> AdapterMade:
        """Make the LoRA of a delta.

        Raises:
            RankTooLarge: above the rank that servers take, without ``yes``.
            SpinHubError: as of every adapter.
        """
        made = super().make(options, delta, base, reporter)
        rank = made.adapter.rank or 0
        if rank > LARGEST_RANK and not options.yes:
            raise RankTooLarge(rank=rank, size=human_bytes(made.bytes), limit=LARGEST_RANK)
        return made

    def size(self, shapes: Sequence[Shape], selection: SelectionRecipe) -> int:
        """Return the bytes at most: no matrix needs a higher rank than it has weights to set to zero."""
        ratio = max(value for name, value in selection.all_ratios.items() if name != "general")
        rank = max(count_of(ratio, shape) for shape in shapes)
        return rank * sum(sum(shape) for shape in shapes) * 4

    def shown(self, record: Record) -> list[tuple[str, str]]:
        """Return the facts of every adapter, and the error of the unmerged LoRA if it was measured."""
        facts, error = super().shown(record), (record.adapter or {}).get("unmerged")
        if not error:
            return facts
        of = f"of logits up to {error['logit']:.3g}, on {error['tokens']:,} tokens in {error['dtype']}"
        return [*facts, ("unmerged", f"off by {error['largest']:.3g} at most, {error['mean']:.2g} on average, {of}")]


ENTRY: Final = LoraExport()
