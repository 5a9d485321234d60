"""What is known of a file's content without looking at it: its size and its digests."""

import hashlib
from dataclasses import dataclass
from typing import Final

REGULAR: Final = 16 << 20
"""Files up to this size, in bytes, may be kept by git itself, under the id of their content."""


def git_id(content: bytes) -> str:
    """The id that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Identity:
    """A file's size, the sha256 of its content, and the id that git gives to that; None where not known."""

    size: int
    sha256: str | None = None
    blob_id: str | None = None

    def same_as(self, other: "Identity") -> bool | None:
        """Whether two files have one content; None where that cannot be told from this."""
        if self.size != other.size:
            return False
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256
        if self.blob_id and other.blob_id:
            return self.blob_id == other.blob_id
        return None

    @property
    def text(self) -> str:
        """In a few characters, for a table of what differs."""
        if self.sha256:
            return f"sha256 {self.sha256[:12]}"
        return f"git {self.blob_id[:12]}" if self.blob_id else f"{self.size:,} bytes"
