"""The changes of a commit: files with their digests, compared with what a repo holds, copies and deletions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd

from spin_hub.checkpoint.store import REGULAR, git_id
from spin_hub.hub.remote_repo import RemoteFile, RemoteRepo


@dataclass(frozen=True)
class Content:
    """A file to push, as the client's operation, whose one digest serves the comparison, the upload and the proof.

    Attributes:
        addition: the operation; it may be sent more than once, and what was uploaded for it is not uploaded again.
        blob_id: the id that git gives to the content, of a small file.
    """

    addition: CommitOperationAdd
    blob_id: str | None = None

    @classmethod
    def of(cls, name: str, source: Path | bytes) -> "Content":
        """Read a file or take its bytes, and compute the digests.

        Raises:
            OSError: the file cannot be read.
        """
        addition = CommitOperationAdd(name, source)
        small = addition.upload_info.size <= REGULAR
        data = (source if isinstance(source, bytes) else source.read_bytes()) if small else None
        return cls(addition, None if data is None else git_id(data))

    @property
    def size(self) -> int:
        """The number of bytes."""
        return int(self.addition.upload_info.size)

    @property
    def sha256(self) -> str:
        """The digest, in hexadecimal."""
        return str(self.addition.upload_info.sha256.hex())


@dataclass(frozen=True)
class Origin:
    """A file of another model repo with the same content, which the Hub may copy by itself."""

    repo_id: str
    commit: str
    path: str


@dataclass(frozen=True)
class Changes:
    """The changes of a commit.

    Attributes:
        sent: files whose content the repo does not hold under their name.
        copied: those of them that the Hub can copy from elsewhere.
        deleted: names to delete.
        same: names whose content is there already.
    """

    sent: Mapping[str, Content]
    copied: Mapping[str, Origin]
    deleted: tuple[str, ...]
    same: tuple[str, ...]

    @property
    def upload(self) -> int:
        """The bytes to upload, at most: the Hub may have some of them already."""
        return sum(content.size for name, content in self.sent.items() if name not in self.copied)

    @property
    def nothing(self) -> bool:
        """True if the repo holds everything already."""
        return not self.sent and not self.deleted


def changes_for(
    remote: RemoteRepo | None,
    files: Mapping[str, Content],
    origins: Mapping[str, Origin],
    stale: Sequence[str] = (),
) -> Changes:
    """Return the changes after which a repo holds some files.

    Args:
        remote: the repo as it is, or None if it does not exist yet.
        files: name -> content.
        origins: by name, files with equal content that the Hub may copy.
        stale: names to delete if they are in the repo and not among the files.
    """
    # The client drops unchanged files as well, but within create_commit; the plan, the note before the push and the
    # check of a tag need them earlier.
    there = remote.files if remote else {}
    same = tuple(name for name, content in files.items() if name in there and equal(there[name], content))
    sent = {name: content for name, content in files.items() if name not in same}
    return Changes(
        sent=sent,
        copied={name: origins[name] for name in sent if name in origins},
        deleted=tuple(name for name in stale if name in there and name not in files),
        same=same,
    )


def equal(remote: RemoteFile, content: Content) -> bool:
    """Return True if a file of a repo has that content."""
    if remote.sha256 is not None:
        return remote.sha256 == content.sha256
    return remote.size == content.size and remote.blob_id == content.blob_id
