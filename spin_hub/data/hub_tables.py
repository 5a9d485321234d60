"""Tables of data sets on the Hub, at a commit, by the library ``datasets``."""

import errno
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import datasets
import pyarrow as pa  # type: ignore[import-untyped]
from datasets.exceptions import DatasetsError
from datasets.packaged_modules.cache.cache import Cache
from datasets.packaged_modules.csv.csv import CsvConfig
from huggingface_hub.errors import HTTPError

from spin_hub.data.formats import arrow_table
from spin_hub.data.rows import Table
from spin_hub.data.spec import Spec
from spin_hub.errors import HubUnreachable, SourceError
from spin_hub.record import DatasetRef

# The library raises ValueError for a wrong configuration, RuntimeError for a data set that is a script, and all kinds
# of errors for a table that says strange things of its own columns.
_UNREADABLE: Final = (
    DatasetsError, pa.ArrowException, LookupError, AttributeError, ArithmeticError, ImportError, TypeError, ValueError,
    RuntimeError, OSError,
)  # fmt: skip

_READ_ONLY: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

# Cells of CSV as text as written, by the column's place; tables with more columns are rare.
_AS_TEXT: Final = {"converters": dict.fromkeys(range(1000), str)}


def read_dataset(spec: Spec, ref: DatasetRef) -> Table:
    """Read the table of a data set on the Hub, at a commit.

    A cache that may not be written is read all the same: the library wants to put its lock there.

    Raises:
        SourceError: it cannot be read, or has no such configuration or split.
        HubUnreachable: no answer, and the cache holds another commit.
    """
    try:
        return _read(spec, ref)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise spec.refused(_why(error)) from error
    with TemporaryDirectory(prefix="spin-hub-", ignore_cleanup_errors=True) as place:
        _mirror(Path(datasets.config.HF_DATASETS_CACHE), Path(place), ref)
        try:
            return _read(spec, ref, place)
        except OSError as error:
            hint = "Name a folder that you may write to in HF_DATASETS_CACHE, or in HF_HOME for both caches."
            raise spec.refused(f"it is not in the cache, which cannot be written to ({_why(error)})", hint) from error


def _mirror(cache: Path, place: Path, ref: DatasetRef) -> None:
    """Make a cache whose folders may be written to, and whose files are those of another one."""
    own = cache / ref.dataset_id.replace("/", "___")
    for path in own.rglob("*"):
        if path.is_file() and path.suffix != ".lock":
            link = place / path.relative_to(cache)
            link.parent.mkdir(parents=True, exist_ok=True)
            try:
                link.symlink_to(path)
            except OSError:
                # Windows lets few users make links.
                shutil.copyfile(path, link)


def _read(spec: Spec, ref: DatasetRef, cache: str | None = None) -> Table:
    try:
        with _without_its_own_lines():
            builder = _builder(ref, spec.config, cache)
            builder.download_and_prepare()
            splits = list(builder.info.splits or ())
            if splits and spec.split not in splits:
                name = spec.target + (f":{spec.config}" if spec.config else "")
                why = f"it has no split {spec.split!r} (it has: {', '.join(splits)})"
                raise spec.refused(why, f"Name one of them, such as {name}/{splits[0]}.")
            table = builder.as_dataset(split=spec.split)
    except (ConnectionError, HTTPError) as error:
        raise HubUnreachable(model=ref.dataset_id, why=short(error)) from error
    except (SourceError, OSError):
        raise
    except _UNREADABLE as error:
        raise spec.refused(_why(error)) from error
    # When the Hub does not answer, the library takes what it prepared last, of whatever commit.
    if any(Path(entry["filename"]).parent.name != ref.commit for entry in table.cache_files):
        raise HubUnreachable(model=ref.dataset_id, why=f"the cache does not hold its commit {ref.commit}")
    try:
        return arrow_table(table.with_format("arrow")[:])
    except _UNREADABLE as error:
        raise spec.refused(_why(error)) from error


def _builder(ref: DatasetRef, config: str | None, cache: str | None) -> datasets.DatasetBuilder:
    def opened(**options: Any) -> datasets.DatasetBuilder:
        return datasets.load_dataset_builder(ref.dataset_id, config, revision=ref.commit, cache_dir=cache, **options)

    try:
        builder = opened()
    except ValueError as error:
        # Without the Hub, the cache knows a table of CSV by the options with which it was read.
        try:
            return opened(**_AS_TEXT)
        except (ValueError, TypeError):
            raise error from None
    if isinstance(builder.config, CsvConfig):
        return opened(**_AS_TEXT)
    if isinstance(builder, Cache):
        with suppress(ValueError, TypeError):
            return opened(**_AS_TEXT)
    return builder


@contextmanager
def _without_its_own_lines() -> Iterator[None]:
    """Keep the library's own lines off the terminal: they name absolute paths, and its errors say the same."""
    before = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(before)


def _why(error: BaseException) -> str:
    cause = short(error.__cause__ or error)
    return "it has no rows" if "corresponds to no data" in cause else f"it cannot be read ({cause})"


def short(error: BaseException) -> str:
    """Return the beginning of another library's message, as a part of a sentence of ours."""
    lines = [line.strip().rstrip(".:") for line in str(error).splitlines()[:2]] or [type(error).__name__]
    return "; ".join(filter(None, lines)).replace(". ", "; ")[:300]
