"""Deltas and edited models on the Hub, found by their tags."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from huggingface_hub import HfApi, constants
from huggingface_hub.hf_api import ModelInfo

from spin_hub.hub.client import patiently

_TAG: Final = "spin-hub"
_LONGEST: Final = 200


@dataclass(frozen=True)
class Listed:
    """A delta or an edited model as its card describes it; None for what is missing or malformed.

    Attributes:
        kind: of the output, such as ``model``, ``delta`` or ``lora``.
        base: the model that it edits.
        rule: a rule's name, or the set expression in its place.
        updated: the day of the last change, as ISO 8601.
    """

    repo_id: str
    kind: str | None
    base: str | None
    rule: str | None
    p: float | None
    q: float | None
    weights: int | None
    updated: str | None
    private: bool
    url: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def list_edits(base: str | None, author: str | None, limit: int) -> list[Listed]:
    """List repos with spin-hub's tag, newest first.

    Args:
        base: only those of this model, or None for all.
        author: only those of this account.
        limit: the largest number of repos.

    Raises:
        TokenRefused: the Hub does not accept the token.
        HubSilent: no answer.
    """
    filters = [_TAG, *([f"base_model:{base}"] if base else [])]

    def listed() -> list[Listed]:
        found = HfApi().list_models(
            filter=filters, author=author, sort="last_modified", limit=limit, full=True, cardData=True
        )
        return [_listed(info) for info in found]

    return patiently(None, "for its models", listed)


def _listed(info: ModelInfo) -> Listed:
    card = info.card_data.to_dict() if info.card_data else {}
    block = card.get("spin_hub")
    about: Mapping[str, Any] = block if isinstance(block, Mapping) else {}
    base = card.get("base_model")
    base = base[0] if isinstance(base, list) and base else base
    changed = info.last_modified
    return Listed(
        repo_id=str(info.id),
        kind=_text(about.get("kind")),
        base=_text(base),
        rule=_text(about.get("rule") or about.get("expression")),
        p=_number(about.get("p")),
        q=_number(about.get("q")),
        weights=about["weights"] if type(about.get("weights")) is int else None,
        updated=changed.date().isoformat() if changed else None,
        private=bool(info.private),
        url=f"{constants.ENDPOINT}/{info.id}",
    )


def _text(value: object) -> str | None:
    """Shorten untrusted text to one line without control characters."""
    if not isinstance(value, str):
        return None
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(value.split()))[:_LONGEST]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
