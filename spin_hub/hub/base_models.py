"""Base models of a variant: the ancestors that cards on the Hub name, and the differences of two configs."""

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id

from spin_hub.checkpoint.compat import Fit
from spin_hub.core.delta import BaseRef
from spin_hub.core.files import README
from spin_hub.core.json import parse
from spin_hub.hub.answers import BEFORE, CLIENT_ERRORS
from spin_hub.hub.failures import reason
from spin_hub.hub.resolve import ModelSource
from spin_hub.model_cards.front_matter import decoded, read_readme

Config: TypeAlias = Mapping[str, Any]
Difference: TypeAlias = tuple[str, Any, Any]

# Median drift above which a variant without a link to the base counts as another model.
UNRELATED: Final = 0.5
# The largest number of models to look up, seconds for each, and bases per card: cards are untrusted.
MOST: Final = 8
_SECONDS: Final = 10.0
_BASES: Final = 32

# Config keys, beside ``*_token_id`` and dropout, that do not affect the function of the weights.
_IGNORED: Final = frozenset(
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
        differences = self.config_differences
        return {
            "chain": list(self.chain),
            "links": [{"model": link.model, "of": link.of, "relation": link.relation} for link in self.links],
            "linked": self.linked,
            "ended": self.ended,
            "architecture": self.architecture,
            "config_differences": None if differences is None else [
                {"key": key, "base": _finite(base), "variant": _finite(variant)} for key, base, variant in differences
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


def lineage_of(source: ModelSource, config: Config, base: BaseRef) -> Lineage:
    """Return a variant's ancestors, and how its config differs from that of a delta's base.

    ``base_model`` is followed from card to card, breadth first, each model once. The variant's own card is the one in
    its folder; those of its ancestors come from the Hub, as they are today. What is unavailable is noted, not raised.

    Args:
        source: the variant.
        config: its config.
        base: the delta's reference to its base.
    """
    hub = _Hub()
    links = _links(source, hub)
    lineage = Lineage(source.repo_id, links, (base.repo_id,) if base.repo_id else (), hub.ended)
    if base.repo_id is None:
        return replace(lineage, unknown="the delta names no model of the Hub as its base")
    hub.left = 1
    if (today := hub.card(base.repo_id)) and today.model:  # a base that was renamed is known by both names
        lineage = replace(lineage, base=tuple(dict.fromkeys((base.repo_id, today.model))))
    known, why = _config_of(base.repo_id, base.commit, cached=hub.silence is not None)
    if known is None:
        return replace(lineage, unknown=f"{base.repo_id}: {hub.silence}" if hub.silence else why)
    differences = config_differences(known, config)
    return replace(lineage, config_differences=differences, architecture=architecture_difference(known, config))


def architecture_difference(base: Config, variant: Config) -> str | None:
    """Return how two configs' architectures differ, as the end of a sentence, or None.

    Model types must be the same and, where both name classes, one class must be common, in any case.
    """
    for key in ("model_type", "architectures"):
        ours, theirs = _texts(base.get(key)), _texts(variant.get(key))
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
        if name in _IGNORED or name.endswith(("_token_id", "dropout", "_pdrop")) or above.count(".") > _DEEPEST:
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            key = f"{above}{name}".replace("rope_scaling.", "rope_parameters.")
            key = key.replace("rope_parameters.type", "rope_parameters.rope_type")
            yield key if "rope_parameters." in key else key.replace("rope_theta", "rope_parameters.rope_theta"), value


def _texts(value: object) -> list[str]:
    entries = value if isinstance(value, list) else [value]
    return [entry for entry in entries if isinstance(entry, str)]


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class _Card:
    """A model's id, and the bases that its card names: ids with their relations."""

    model: str | None
    bases: tuple[tuple[str, str | None], ...]

    @classmethod
    def of(cls, model: str | None, card: object, tags: Iterable[str] = ()) -> "_Card":
        """Read the bases of a card, each with the card's relation or the one in the Hub's tags."""
        found = card.get("base_model") if hasattr(card, "get") else None
        said = card.get("base_model_relation") if hasattr(card, "get") else None
        # The Hub works relations out and notes them as ``base_model:finetune:org/name``.
        parts = [tag.split(":", 2) for tag in tags if tag.startswith("base_model:") and tag.count(":") > 1]
        relations = {name: relation for _, relation, name in parts}
        names = _texts((found if isinstance(found, list) else [found])[:_BASES])
        return cls(model, tuple((name, said if isinstance(said, str) else relations.get(name)) for name in names))


@dataclass
class _Hub:
    """Lookup of a limited number of models, which stops once the Hub does not answer; collects the reasons."""

    left: int = MOST
    silence: str | None = None
    whys: list[str] = field(default_factory=list)

    def card(self, model: str, revision: str | None = None) -> _Card | None:
        if self.silence:
            return None
        if not self.left:
            self.whys.append(f"only {MOST} models are looked up")
            return None
        self.left -= 1
        try:
            # ModelInfo.base_models has names without relations, so the card and the Hub's tags are read instead.
            info = HfApi().model_info(model, revision=revision, timeout=_SECONDS)
            return _Card.of(info.id, info.card_data, info.tags or ())
        except CLIENT_ERRORS as error:
            why = reason(error)
            self.whys.append(f"{model}: {why}")
            if isinstance(error, (HTTPError, OSError, *BEFORE)) and not isinstance(error, HfHubHTTPError):
                self.silence = why
            return None

    @property
    def ended(self) -> str | None:
        return "; ".join(dict.fromkeys(self.whys)) or None


def _links(source: ModelSource, hub: _Hub) -> tuple[Link, ...]:
    links: list[Link] = []
    seen = {source.repo_id.casefold()} if source.repo_id else set()
    waiting = deque([_own_card(source, hub)])
    while waiting:
        of = waiting.popleft()
        for named, relation in of.bases:
            if named.casefold() in seen:
                continue
            if not _is_id(named):
                hub.whys.append("a card names a base model that is not an id of the Hub")
                continue
            card = hub.card(named)
            model = card.model if card and card.model else named
            if model.casefold() not in seen:
                links.append(Link(model, named, of.model, relation))
                waiting.extend([card] if card else ())
            seen |= {named.casefold(), model.casefold()}
    return tuple(links)


def _own_card(source: ModelSource, hub: _Hub) -> _Card:
    path = source.folder / README
    if path.is_file():
        try:
            readme = read_readme(decoded(path.read_bytes()))
            if not {"", "base_model"} & readme.lost.keys():
                return _Card.of(source.repo_id, readme.data)
        except (OSError, ValueError):
            pass
        hub.whys.append("the metadata of its README.md cannot be read")
    elif source.repo_id:
        return hub.card(source.repo_id, source.commit) or _Card(source.repo_id, ())
    else:
        hub.whys.append("the folder has no README.md")
    return _Card(source.repo_id, ())


def _is_id(name: str) -> bool:
    # Trainers also write local paths into cards.
    with suppress(HFValidationError):
        validate_repo_id(name)
        return True
    return False


def _config_of(repo_id: str, commit: str | None, cached: bool) -> tuple[Config | None, str | None]:
    """Return a Hub model's config.json at a commit (None: the latest), or None and why it is unavailable.

    ``cached`` reads the cache alone, because the client retries a Hub that does not answer.
    """
    if commit is not None and not re.fullmatch("[0-9a-f]{40}", commit):
        return None, "the delta's base has no commit of the Hub"
    try:
        path = hf_hub_download(repo_id, "config.json", revision=commit, local_files_only=cached)
    except CLIENT_ERRORS as error:
        return None, f"{repo_id}: {reason(error)}"
    try:
        config = parse(Path(path).read_bytes(), unique=False)
    except (OSError, ValueError, RecursionError):
        return None, f"the config.json of {repo_id} cannot be read"
    return (config, None) if isinstance(config, dict) else (None, f"the config.json of {repo_id} is not a JSON object")
