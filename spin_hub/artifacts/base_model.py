"""An opened base model: its source, checkpoint index, files and record."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from spin_hub.checkpoint.digests import known_digests
from spin_hub.checkpoint.index import CheckpointIndex, build_index, read_config, read_index
from spin_hub.checkpoint.layout import find_layout
from spin_hub.checkpoint.lfs import refuse_pointer
from spin_hub.core.files import README, Contents
from spin_hub.errors import DownloadDamaged
from spin_hub.hub.cache import cached_copy
from spin_hub.hub.resolve import ModelSource, resolve_model
from spin_hub.hub.store import remote_headers
from spin_hub.model_cards.front_matter import BaseCard, read_base_card
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.record import ModelRecord

_FETCHING: Final = "Fetching the model"


@dataclass(frozen=True)
class Base:
    """An opened model folder."""

    source: ModelSource
    index: CheckpointIndex

    @property
    def contents(self) -> Contents:
        """The folder's files, sorted into kept and left out."""
        return self.index.contents

    @cached_property
    def readme(self) -> BaseCard:
        """Licence, language and task from the base's own card, and what of them cannot be read."""
        path = self.index.folder / README
        return read_base_card(path.read_bytes()) if path.is_file() else BaseCard()

    @property
    def card(self) -> dict[str, Any]:
        """Licence, language and task from the base's own card."""
        return self.readme.fields

    @property
    def subject(self) -> ModelRecord:
        """The model's record without the digests of its files."""
        return ModelRecord(self.source.name, self.source.repo_id, self.source.commit, card=self.card,
                           card_notes=self.readme.notes)  # fmt: skip

    @property
    def copy_bytes(self) -> int:
        """The size of an edited copy."""
        elsewhere = self.source.elsewhere
        return self.bytes_of(self.contents.proven) if elsewhere is None else elsewhere

    def bytes_of(self, names: tuple[str, ...]) -> int:
        """The size of some of the folder's files."""
        return sum((self.index.folder / name).stat().st_size for name in names)


def open_base(model: str, reporter: Reporter = SILENT) -> Base:
    """Find a model by folder or Hub id, download it if need be, and read its checkpoint's headers.

    Raises:
        SpinHubError: it is not there, not readable, quantised or damaged, or a file of it is a Git LFS pointer.
    """
    with step(reporter, _FETCHING):
        source = resolve_model(model)
        with cached_copy(source.folder):
            return _checked(Base(source, read_index(source.folder)), reporter)


def open_headers(model: str, reporter: Reporter = SILENT) -> Base:
    """Open a model without downloading a Hub model's weights: config, tokenizer and headers alone.

    Raises:
        SpinHubError: as :func:`open_base`.
    """
    with step(reporter, _FETCHING):
        source = resolve_model(model, weights=False)
        with cached_copy(source.folder):
            index = read_index(source.folder) if source.elsewhere is None else _remote_index(source)
            return _checked(Base(source, index), reporter)


def _remote_index(source: ModelSource) -> CheckpointIndex:
    repo_id, folder, config = str(source.repo_id), source.folder, read_config(source.folder)
    local = {path.name for path in folder.iterdir() if path.is_file()}
    names = {name for name in {*local, *source.expected, *source.left_out} if "/" not in name}
    layout = find_layout(repo_id, names, lambda name: (folder / name).read_bytes())
    headers = remote_headers(repo_id, str(source.commit), layout.shards)
    return build_index(folder, config, names, layout, headers)


def _checked(base: Base, reporter: Reporter) -> Base:
    """Refuse pointers of Git LFS in place of what a copy keeps, and say what is set aside."""
    for name in base.contents.proven:
        refuse_pointer(base.index.folder / name)
    for note in base.index.notes:
        reporter.note(note)
    return base


def record_of(base: Base, reporter: Reporter) -> ModelRecord:
    """The record of a base; hashes every file that is not known to be unchanged.

    Raises:
        DownloadDamaged: a downloaded file is not the one that the Hub has.
    """
    names = (*base.contents.proven, *base.contents.left_out)
    with reporter.task("Hashing the base", base.bytes_of(names), "bytes") as advance:
        hashes = known_digests(base.index.folder, names, advance)
    for name, expected in base.source.expected.items():
        if hashes.get(name, expected) != expected:
            raise DownloadDamaged(path=name, repo_id=base.source.repo_id)
    for note in base.readme.notes:
        reporter.note(note)
    return ModelRecord(
        name=base.source.name,
        repo_id=base.source.repo_id,
        commit=base.source.commit,
        files={name: hashes[name] for name in base.contents.proven},
        left_out={
            **{name: digest for name, digest in base.source.left_out.items() if name not in hashes},
            **{name: hashes[name] for name in base.contents.left_out},
        },
        card=base.card,
        card_notes=base.readme.notes,
        model_type=base.index.config.get("model_type"),
    )
