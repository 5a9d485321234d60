"""revert: the base back from an edited model, byte for byte, and proven by its recorded sha256."""

from dataclasses import dataclass
from pathlib import Path

from spin_hub.artifacts.atomic import Placed, new_folder
from spin_hub.artifacts.open import open_delta
from spin_hub.artifacts.write import BASE_README
from spin_hub.checkpoint.digests import digests
from spin_hub.checkpoint.index import CheckpointIndex, read_index
from spin_hub.checkpoint.patch import State, copy_others, originals, state_of, write_patched_copy
from spin_hub.core.delta import Delta
from spin_hub.core.files import README, SPIN
from spin_hub.errors import DeltaNotFound, RevertFailed
from spin_hub.hub.cache import hub_cache
from spin_hub.hub.resolve import resolve_edited
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.recipe import BY_DEFAULT, Destination


@dataclass(frozen=True)
class RevertOutcome:
    """The reverted folder.

    Attributes:
        output: the folder.
        files: number of files proven equal to the base's.
        weights: number of weights put back.
        left_out: files of the base that the edited copy never held, such as other formats of the weights.
    """

    output: Path
    files: int
    weights: int
    left_out: tuple[str, ...] = ()


def revert(edited: str | Path, destination: Destination = BY_DEFAULT, reporter: Reporter = SILENT) -> RevertOutcome:
    """Write the base that an edited model was made from.

    Every file that the edit kept comes back, the README too, and is compared with the base's recorded sha256
    before anything appears at the destination. Files that were added since are not copied.

    Args:
        edited: a folder that ``edit`` or ``apply`` wrote, or the Hub id of one.
        destination: ``./<base name>-reverted`` by default.
        reporter: called with progress.

    Raises:
        DeltaNotFound: the folder has no ``spin/``.
        RevertFailed: the folder was changed since, so that the base does not come back exactly.
    """
    with step(reporter, "Fetching the edited model"):
        folder = resolve_edited(str(edited)).path
    if not (folder / SPIN).is_dir():
        raise DeltaNotFound(path=edited, what="edited model")
    return _revert(folder, destination, reporter)


def _revert(edited: Path, destination: Destination, reporter: Reporter) -> RevertOutcome:
    with step(reporter, "Checking the touched weights"):
        delta, record = open_delta(edited / SPIN)
        index = read_index(edited)
        _check(edited, index, delta)
    target = Placed.of(destination, f"{record.model.name if record else edited.resolve().name}-reverted")
    total = sum(_source(edited, name).stat().st_size for name in delta.base.files)
    target.check((edited, hub_cache()), total)
    with new_folder(target) as folder:
        _write(edited, index, delta, folder, reporter)
        with reporter.task("Proving every file", total, "bytes") as advance:
            found = digests(folder, delta.base.files, advance)
        wrong = [name for name, digest in delta.base.files.items() if found[name] != digest]
        if wrong:
            raise RevertFailed(path=edited, why=f"{', '.join(wrong)} would differ from the base's recorded sha256")
    left_out = tuple(sorted(record.model.left_out)) if record else ()
    return RevertOutcome(target.path, len(delta.base.files), delta.weights, left_out)


def _check(edited: Path, index: CheckpointIndex, delta: Delta) -> None:
    unknown = [shard for shard in index.shards if shard not in delta.base.files]
    if unknown:
        raise RevertFailed(path=edited, why=f"its delta knows nothing of {unknown[0]}")
    for name in delta.base.files:
        if not _source(edited, name).is_file():
            raise RevertFailed(path=edited, why=f"{_source(edited, name).relative_to(edited)} is missing")
    state = state_of(index, delta)
    if state is not State.EDITED:
        raise RevertFailed(path=edited, why=f"its touched weights hold {state.value}")


def _write(edited: Path, index: CheckpointIndex, delta: Delta, folder: Path, reporter: Reporter) -> None:
    size = sum((edited / shard).stat().st_size for shard in index.shards)
    with reporter.task("Putting the weights back", size, "bytes") as advance:
        write_patched_copy(index, delta.edits, originals, folder, advance)
        copy_others(edited, delta.base.files.keys() - set(index.shards) - {README}, folder)
    if README in delta.base.files:
        copy_others(edited / SPIN, [BASE_README], folder)
        (folder / BASE_README).rename(folder / README)


def _source(edited: Path, name: str) -> Path:
    return edited / SPIN / BASE_README if name == README else edited / name
