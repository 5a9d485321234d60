"""A data set of the Hub by name, pinned to a commit, with the licence that its card names."""

from contextlib import suppress
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, metadata_load, snapshot_download
from huggingface_hub.errors import EntryNotFoundError

from spin_hub.errors import DatasetNotFound
from spin_hub.hub.client import Asked, ask
from spin_hub.record import DatasetRef

_CARD = "README.md"


def resolve_dataset(dataset_id: str, revision: str | None = None) -> DatasetRef:
    """Find the commit and the licence of a data set, on the Hub or, if it does not answer, in the cache.

    Raises:
        DatasetNotFound: the Hub has no such data set or revision.
        AccessDenied: it is gated and the token has no access.
        HubUnreachable: no answer, and nothing in the cache.
    """
    name = f"{dataset_id}@{revision}" if revision else dataset_id
    asked = Asked(dataset_id, "data set", lambda why: DatasetNotFound(dataset=name, why=why))
    return ask(asked, lambda: _online(dataset_id, revision), lambda: _cached(dataset_id, revision))


def _online(dataset_id: str, revision: str | None) -> DatasetRef:
    api = HfApi()
    info = api.dataset_info(dataset_id, revision=revision)
    if info.gated:  # the Hub shows a gated data set's page to everyone, but not its files
        api.auth_check(dataset_id, repo_type="dataset")
    # Requested by its branch, the card leaves the branch's commit in the cache.
    with suppress(EntryNotFoundError):
        hf_hub_download(dataset_id, _CARD, repo_type="dataset", revision=revision)
    return DatasetRef(dataset_id, str(info.sha), _licence(info.card_data))


def _cached(dataset_id: str, revision: str | None) -> DatasetRef:
    options = {"repo_type": "dataset", "revision": revision, "local_files_only": True}
    folder = snapshot_download(dataset_id, **options)
    card = Path(folder, _CARD)
    return DatasetRef(dataset_id, Path(folder).name, _licence(metadata_load(card) if card.is_file() else None))


def _licence(card: object) -> str:
    """Return the licence of a card's metadata; several in one line."""
    named = card.get("license") if hasattr(card, "get") else None
    return ", ".join(map(str, named)) if isinstance(named, list) else str(named or "unknown")
