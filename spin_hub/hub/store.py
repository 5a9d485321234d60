"""Files of a model repo at a commit: sizes, digests and pieces, read from the Hub without downloading whole files."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import NotASafetensorsRepoError, SafetensorsParsingError

from spin_hub.checkpoint.header import TensorSpan
from spin_hub.checkpoint.sampling import Allowance
from spin_hub.checkpoint.store import Identity
from spin_hub.errors import AccessDenied, CorruptFile, DownloadDamaged, ModelNotFound
from spin_hub.hub.client import a_model, patiently
from spin_hub.hub.ranges import Ranges
from spin_hub.hub.resolve import split_id

REQUESTS: Final = 200
# Limits of a quick look at a repo, in requests and bytes.
NBYTES: Final = 2_000_000

# Bytes left for touched elements even if the files around them are large.
_LEAST: Final = 1 << 18

# Headers that are read at a time.
_AT_ONCE: Final = 8

# Requests that the client needs to list a repo.
_QUESTIONS: Final = 4

# The largest file that is read into memory, in bytes.
_LARGEST: Final = 1 << 28


class HubStore:
    """A model repo at a commit as a file store.

    Args:
        label: the user's name for it.
        cached: read files from the Hub's cache if it has them.

    Attributes:
        sizes: the size of every file, by name.
    """

    def __init__(self, label: str, ranges: Ranges, files: Mapping[str, Identity], cached: bool) -> None:
        self.label, self.repo_id, self.commit = label, ranges.repo_id, ranges.commit
        self.sizes = {name: identity.size for name, identity in sorted(files.items())}
        self._ranges, self._files, self._cached = ranges, files, cached

    def local(self, name: str) -> Path | None:
        """Return the cached copy of a file, or None if there is none."""
        if not self._cached:
            return None
        found = try_to_load_from_cache(self.repo_id, name, revision=self.commit)
        path = Path(found) if isinstance(found, str) else None
        return path if path and path.stat().st_size == self.sizes[name] else None

    def known(self, name: str) -> Identity:
        """Return what the Hub says of a file: of a large one its sha256, of others git's id."""
        return self._files[name]

    def identity(self, name: str) -> Identity:
        """Return both digests of a file; a file that the Hub keeps in git is read for its sha256."""
        return Identity(self.sizes[name], self.sha256(name), self._files[name].blob_id)

    def sha256(self, name: str) -> str:
        """Return the sha256 of a file's content."""
        known = self._files[name].sha256
        return known or hashlib.sha256(self.whole(name)).hexdigest()

    def whole(self, name: str) -> bytes:
        """Read a small file.

        Raises:
            CorruptFile: it is not small.
        """
        if self.sizes[name] > _LARGEST:
            raise CorruptFile(path=f"{self.repo_id}/{name}", why=f"it has {self.sizes[name]:,} bytes")
        path = self.local(name)
        return path.read_bytes() if path else b"".join(self._ranges.stream(name, self.sizes[name]))

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file as the Hub sends it."""
        return self._ranges.stream(name, self.sizes[name])

    def ranges(self, name: str, spans: Iterable[tuple[int, int]]) -> list[bytes]:
        """Read some spans of a file.

        Raises:
            RangesIgnored: the endpoint sends whole files instead.
        """
        path = self.local(name)
        if path is None:
            return self._ranges.read(name, list(spans))
        with path.open("rb") as file:
            return [file.read(end - start) for start, end in spans if file.seek(start) == start]

    def check(self, name: str) -> None:
        """Compare the cached copy of a file with the Hub's digest.

        Raises:
            DownloadDamaged: they differ.
        """
        path, known = self.local(name), self._files[name].sha256
        if path and known:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != known:
                    raise DownloadDamaged(path=name, repo_id=self.repo_id)

    def allowance(self, names: Iterable[str]) -> Allowance | None:
        """Return how much :meth:`ranges` may still read of these files, or None if the cache has all of them."""
        if all(self.local(name) for name in names):
            return None
        left = max(NBYTES - self._ranges.nbytes, _LEAST)
        return Allowance(max(REQUESTS - _QUESTIONS - self._ranges.requests, 1), left)


def open_repo(name: str, cached: bool) -> HubStore:
    """Open a model repo by its Hub id, pinned to a commit.

    Args:
        name: ``org/name`` or ``org/name@revision``.
        cached: read files from the Hub's cache if it has them.

    Raises:
        ModelNotFound: the Hub has no such repo or revision.
        AccessDenied: it is gated, and the token has no access.
        HubSilent: no answer.
    """
    repo_id, revision = split_id(name)
    info = patiently(
        a_model(repo_id, name),
        f"for {name}",
        lambda: HfApi().model_info(repo_id, revision=revision, files_metadata=True),
    )
    files = {
        entry.rfilename: Identity(entry.lfs.size, entry.lfs.sha256)
        if entry.lfs
        else Identity(entry.size or 0, None, entry.blob_id)
        for entry in info.siblings or []
    }
    visible = {name: file for name, file in files.items() if not any(part[0] == "." for part in name.split("/"))}
    return HubStore(name, Ranges(str(info.id), str(info.sha)), visible, cached)


def why_no_commit(repo_id: str, commit: str) -> str | None:
    """Return why the Hub has no such commit of a model, or None if it has.

    Raises:
        HubSilent: no answer.
    """
    try:
        patiently(a_model(repo_id), f"for {repo_id}", lambda: HfApi().model_info(repo_id, revision=commit))
    except AccessDenied:
        return None  # it exists
    except ModelNotFound as error:
        return str(error.facts["why"])
    return None


def remote_headers(repo_id: str, commit: str, shards: Sequence[str]) -> dict[str, dict[str, TensorSpan]]:
    """Return shard -> tensor name -> span; headers are read by range requests, and spans count from their end.

    Raises:
        CorruptFile: a header that does not parse.
        HubSilent: no answer.
    """

    def read(shard: str) -> dict[str, TensorSpan]:
        header = HfApi().parse_safetensors_file_metadata(repo_id, shard, revision=commit)
        return {
            name: TensorSpan(info.dtype, tuple(info.shape), begin, end - begin)
            for name, info in header.tensors.items()
            for begin, end in [info.data_offsets]
        }

    def headers() -> dict[str, dict[str, TensorSpan]]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(shards, pool.map(read, shards), strict=True))

    try:
        return patiently(a_model(repo_id), f"for the headers of {repo_id}", headers)
    except (NotASafetensorsRepoError, SafetensorsParsingError) as error:
        raise CorruptFile(path=repo_id, why="its safetensors headers cannot be read") from error
