"""The Hub's cache: repos at a commit, downloaded into it or found there, whole or in part."""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils import filter_repo_objects

from spin_hub.core.files import SHARDED, SINGLE, TWIN_PATTERNS
from spin_hub.core.json import parse
from spin_hub.errors import CorruptFile
from spin_hub.hub.client import PartlyCached
from spin_hub.hub.remote_repo import list_files

_SHOWN: Final = 3
_IGNORED: Final = [".*", *TWIN_PATTERNS]


def hub_cache() -> Path:
    """Return the folder of the Hub's cache, into which only the client may write."""
    return Path(constants.HF_HUB_CACHE)


def snapshot(
    repo_id: str, revision: str | None, commit: str, names: Iterable[str], patterns: Sequence[str] | None
) -> Path:
    """Download the files of a repo at a commit, by its branch first, so that the branch is known offline too.

    Args:
        names: the files of the repo.
        patterns: of those to download, or None for all.
    """
    allowed = None if patterns is None else list(patterns)
    folder = _download(repo_id, revision, allow_patterns=allowed)
    wanted = filter_repo_objects(names, allow_patterns=allowed, ignore_patterns=_IGNORED)
    # If the branch has moved in between, the commit that was looked at counts.
    if folder.name == commit and all((folder / name).is_file() for name in wanted):
        return folder
    # Where the list of files does not come, the client returns the part that is cached: the list has the reason.
    list_files(repo_id, commit)
    return _download(repo_id, commit, allow_patterns=allowed)


@contextmanager
def cached_copy(path: Path) -> Iterator[None]:
    """Say of a damaged file within a path of the Hub's cache, read within the block, how its copy is removed."""
    try:
        yield
    except CorruptFile as error:
        # The cache names a repo's folder ``models--org--name``.
        names = [part.split("--") for part in path.parts if part.startswith("models--")]
        if names and path.is_relative_to(hub_cache()) and type(error) is CorruptFile:
            again = f"`hf cache rm model/{'/'.join(names[0][1:])}` removes it, and the same command fetches it again."
            error.hint = f"If only the copy in the cache is damaged, {again}"
        raise


def check_whole(folder: Path) -> None:
    """Refuse a cached snapshot without the files of a model: other programs fetch a config or a tokenizer alone."""
    names = {path.name for path in folder.iterdir() if path.is_file()}
    missing = [] if "config.json" in names else ["config.json"]
    if SINGLE not in names:
        missing += _missing_shards(folder / SHARDED, names) if SHARDED in names else ["weights"]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        count = f"{len(names)} file{'' if len(names) == 1 else 's'}"
        raise PartlyCached(f"{count} of it, without {', '.join(missing[:_SHOWN])}{more}")


def _missing_shards(index: Path, names: AbstractSet[str]) -> list[str]:
    with suppress(OSError, ValueError):  # a damaged index is reported where it is read
        shards = parse(index.read_bytes()).get("weight_map")
        if isinstance(shards, dict):
            return sorted({str(name) for name in shards.values()} - names)
    return []


def cached_snapshot(repo_id: str, revision: str | None, patterns: Sequence[str] | None = None) -> Path:
    """Return the cached files of a repo; the folder's name is the commit.

    Raises:
        OSError: it holds nothing of them, or is known to lack some.
        PartlyCached: saying what is missing, if only some of them are there.
    """
    try:
        allowed = None if patterns is None else list(patterns)
        return _download(repo_id, revision, local_files_only=True, allow_patterns=allowed)
    except LocalEntryNotFoundError as error:
        if place := getattr(error, "snapshot_path", None):  # of the client's own list of the repo's files
            check_whole(Path(place))
            count = sum(path.is_file() for path in Path(place).rglob("*"))
            raise PartlyCached(f"{count} files of it, and not all") from error
        raise


def _download(repo_id: str, revision: str | None, **options: Any) -> Path:
    """Download a branch, tag or commit; a branch's name is kept, so that it is known offline too."""
    return Path(snapshot_download(repo_id, revision=revision, ignore_patterns=_IGNORED, **options))
