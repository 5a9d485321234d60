"""Ancestry of a variant: the base models that cards name, and the differences of two configs."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from spin_hub.core.compat import Fit

Config: TypeAlias = Mapping[str, Any]
Difference: TypeAlias = tuple[str, Any, Any]

# Median drift above which a variant without a link to the base counts as another model.
UNRELATED: Final = 0.5

# Config keys, beside ``*_token_id`` and dropout, that do not affect the function of the weights.
IGNORED: Final = frozenset(
    {
        "_name_or_path", "_commit_hash", "transformers_version", "unsloth_version", "auto_map", "architectures",
        "dtype", "torch_dtype", "use_cache", "output_attentions", "output_hidden_states", "return_dict", "id2label",
        "label2id", "initializer_range", "attn_implementation", "_attn_implementation",
    }
)  # fmt: skip

_UNSAID: Final[dict[str, Any]] = {"rope_parameters.rope_type": "default", "quantization_config.quant_method": None}
_DEEPEST: Final = 4  # configs are untrusted


@dataclass(frozen=True)
class Link:
    """One step from a model to a base that its card names.

    Attributes:
        model: the base's id, as it is on the Hub today if it answered.
        named: its id in the card; a renamed model is still found by its old one.
        of: the id of the model with the card, or None for a local folder.
        relation: ``finetune``, ``adapter``, ``merge`` or ``quantized``, if known.
    """

    model: str
    named: str
    of: str | None = None
    relation: str | None = None


@dataclass(frozen=True)
class Lineage:
    """A variant's ancestors, and its similarity to a delta's base.

    Attributes:
        variant: the variant's own id on the Hub, or None for a local folder.
        links: the steps up from it, the nearest first.
        base: the ids of the delta's base: as in the delta and, if different, as on the Hub today.
        ended: why the chain was not followed to its end, or None if it was.
        config_differences: (key, the base's value, the variant's), or None if the base's config is unknown.
        architecture: how the architectures differ, or None if they do not, or that is unknown.
        unknown: why the base's config is unknown, or None if it is known.
    """

    variant: str | None = None
    links: tuple[Link, ...] = ()
    base: tuple[str, ...] = ()
    ended: str | None = None
    config_differences: tuple[Difference, ...] | None = None
    architecture: str | None = None
    unknown: str | None = None

    @property
    def chain(self) -> tuple[str, ...]:
        """The ids from the variant to its ancestors, the nearest first."""
        return (*([self.variant] if self.variant else []), *(link.model for link in self.links))

    @property
    def linked(self) -> bool:
        """True if the delta's base is the variant or one of its ancestors; case does not matter."""
        known = {name.casefold() for name in (*self.chain, *(link.named for link in self.links))}
        return not known.isdisjoint(name.casefold() for name in self.base)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; infinities and NaN are text."""
        links = [{"model": link.model, "of": link.of, "relation": link.relation} for link in self.links]
        differences = self.config_differences
        return {
            "chain": list(self.chain),
            "links": links,
            "linked": self.linked,
            "ended": self.ended,
            "architecture": self.architecture,
            "config_differences": None if differences is None else [
                {"key": key, "base": _plain(base), "variant": _plain(variant)} for key, base, variant in differences
            ],
            "unknown": self.unknown,
        }  # fmt: skip


def unrelated(lineage: Lineage, fit: Fit) -> str | None:
    """Return why a variant counts as another model than the delta's base, as the end of a sentence, or None.

    That takes both: no card that links it to the base, and a median drift above :data:`UNRELATED`.
    """
    if lineage.linked or fit.drift is None or fit.drift <= UNRELATED:
        return None
    base = lineage.base[0] if lineage.base else "the delta's base"
    amount = f"{fit.drift:.0%}" if math.isfinite(fit.drift) else "more than any number"
    return (
        f"no card links it to {base}, and the touched weights differ from the base's by {amount} in the median "
        f"(at most {UNRELATED:.0%} without a link)"
    )


def architecture_difference(base: Config, variant: Config) -> str | None:
    """Return how two configs' architectures differ, as the end of a sentence, or None.

    Model types must be the same and, where both name classes, one class must be common, in any case.
    """
    for key in ("model_type", "architectures"):
        ours, theirs = _names(base.get(key)), _names(variant.get(key))
        if ours and theirs and {name.casefold() for name in ours}.isdisjoint(name.casefold() for name in theirs):
            return f"its architecture is {', '.join(theirs)}, but the delta's base is {', '.join(ours)}"
    return None


def config_differences(base: Config, variant: Config) -> tuple[Difference, ...]:
    """Return the relevant keys that differ, sorted, each with the base's value and the variant's.

    Keys of parts are joined with dots. A key that only one config has is left out, because each version of
    transformers leaves out other defaults. The two ways to write a rotary embedding count as one.
    """
    ours, theirs = _UNSAID | dict(_flat(base)), _UNSAID | dict(_flat(variant))
    common = sorted(ours.keys() & theirs.keys())
    return tuple((key, ours[key], theirs[key]) for key in common if ours[key] != theirs[key])


def _flat(config: Config, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if name in IGNORED or name.endswith(("_token_id", "dropout", "_pdrop")) or above.count(".") > _DEEPEST:
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            key = f"{above}{name}".replace("rope_scaling.", "rope_parameters.")
            key = key.replace("rope_parameters.type", "rope_parameters.rope_type")
            yield key if "rope_parameters." in key else key.replace("rope_theta", "rope_parameters.rope_theta"), value


def _names(value: object) -> list[str]:
    entries = value if isinstance(value, list) else [value]
    return [entry for entry in entries if isinstance(entry, str)]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
