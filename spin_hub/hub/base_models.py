"""Ancestors of a variant by the ``base_model`` of the cards on the Hub; what is unavailable is noted, not raised."""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from spin_hub.core.delta import BaseRef
from spin_hub.core.files import README
from spin_hub.core.json import parse
from spin_hub.hub.ancestry import Lineage, Link, architecture_difference, config_differences
from spin_hub.hub.client import reason
from spin_hub.hub.resolve import ModelSource
from spin_hub.model_cards.front_matter import card_of

# The largest number of models to look up.
MOST: Final = 8

_SECONDS: Final = 10.0
_BASES: Final = 32  # cards are untrusted; no merge has more parents
_FAILURES: Final = (HTTPError, OSError, ValueError, TypeError, LookupError, RecursionError)


@dataclass(frozen=True)
class Ancestry:
    """The steps up from a variant, the nearest first, and why they end early, if they do."""

    links: tuple[Link, ...]
    ended: str | None = None


@dataclass(frozen=True)
class _Card:
    """A model's id, and the bases that its card names: ids with their relations."""

    model: str | None
    bases: tuple[tuple[str, str | None], ...]


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
            return _Card(info.id, _bases(info.card_data, info.tags or ()))
        except _FAILURES as error:
            why = reason(error, "model")
            self.whys.append(f"{model}: {why}")
            if isinstance(error, HTTPError | OSError) and not isinstance(error, HfHubHTTPError):
                self.silence = why
            return None

    @property
    def ended(self) -> str | None:
        return "; ".join(dict.fromkeys(self.whys)) or None


def lineage_of(source: ModelSource, config: Mapping[str, Any], base: BaseRef) -> Lineage:
    """Return a variant's ancestors, and how its config differs from that of a delta's base.

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
    known, why = config_of(base.repo_id, base.commit, cached=hub.silence is not None)
    if known is None:
        return replace(lineage, unknown=f"{base.repo_id}: {hub.silence}" if hub.silence else why)
    differences = config_differences(known, config)
    return replace(lineage, config_differences=differences, architecture=architecture_difference(known, config))


def ancestry_of(source: ModelSource) -> Ancestry:
    """Follow ``base_model`` from card to card, breadth first, each model once.

    The variant's own card is the one in its folder; those of its ancestors come from the Hub, as they are today.
    """
    hub = _Hub()
    return Ancestry(_links(source, hub), hub.ended)


def config_of(repo_id: str, commit: str | None, cached: bool = False) -> tuple[Mapping[str, Any] | None, str | None]:
    """Return a Hub model's config.json at a commit, or None and why it is unavailable.

    Args:
        repo_id: the model.
        commit: None for the latest one.
        cached: read the cache alone, because the client retries a Hub that does not answer.
    """
    if commit is not None and not re.fullmatch("[0-9a-f]{40}", commit):
        return None, "the delta's base has no commit of the Hub"
    try:
        path = hf_hub_download(repo_id, "config.json", revision=commit, local_files_only=cached)
        config = parse(Path(path).read_bytes(), unique=False)
    except _FAILURES as error:
        # If neither the Hub nor the cache has it, the cause is the Hub's reason.
        cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else None
        return None, f"{repo_id}: {reason(cause if isinstance(cause, Exception) else error, 'model')}"
    return (config, None) if isinstance(config, dict) else (None, f"the config.json of {repo_id} is not a JSON object")


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
                hub.whys.append("a card names a base model that is no id of the Hub")
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
            return _Card(source.repo_id, _bases(card_of(path.read_text("utf-8")).data))
        except (OSError, ValueError):
            hub.whys.append("the metadata of its README.md cannot be read")
    elif source.repo_id:
        return hub.card(source.repo_id, source.commit) or _Card(source.repo_id, ())
    else:
        hub.whys.append("the folder has no README.md")
    return _Card(source.repo_id, ())


def _bases(card: object, tags: Iterable[str] = ()) -> tuple[tuple[str, str | None], ...]:
    """Return the bases that a card names, with the card's relation or the one in the Hub's tags."""
    found = card.get("base_model") if hasattr(card, "get") else None
    said = card.get("base_model_relation") if hasattr(card, "get") else None
    worked_out = {
        parts[2]: parts[1] for tag in tags if len(parts := tag.split(":", 2)) == 3 and parts[0] == "base_model"
    }
    names = [name for name in (found if isinstance(found, list) else [found])[:_BASES] if isinstance(name, str)]
    return tuple((name, said if isinstance(said, str) else worked_out.get(name)) for name in names)


def _is_id(name: str) -> bool:
    """Return True if the Hub may have such a model; trainers also write local paths into cards."""
    with suppress(HFValidationError):
        validate_repo_id(name)
        return True
    return False
