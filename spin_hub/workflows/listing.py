"""list: deltas and edited models that others have published."""

from spin_hub.errors import UsageError
from spin_hub.hub.listing import Listed, list_edits

USUAL = 50
"""The most that are listed by default."""


def find(base: str | None = None, author: str | None = None, limit: int = USUAL) -> list[Listed]:
    """Deltas and edited models on the Hub, newest first.

    Args:
        base: only those of this model, a Hub id.
        author: only those of this account.
        limit: the most that are listed.

    Raises:
        UsageError: a base that is not a Hub id, or a limit below 1.
        HubSilent: no answer.
    """
    if base is not None and base.count("/") != 1:
        raise UsageError(message=f"--base takes a Hub id such as org/name, not {base!r}.")
    if limit < 1:
        raise UsageError(message=f"--limit must be at least 1, not {limit}.")
    return list_edits(base.partition("@")[0] if base else None, author, limit)
