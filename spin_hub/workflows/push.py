"""push: an edited model or a delta that is here already goes to the Hub in one commit."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from spin_hub.artifacts import publish
from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import open_base
from spin_hub.artifacts.open import open_delta, read_card
from spin_hub.artifacts.publish import PushOptions
from spin_hub.artifacts.write import Outcome, write_delta_folder
from spin_hub.checkpoint.index import read_index
from spin_hub.checkpoint.patch import State, copy_others, state_of
from spin_hub.core.delta import Delta
from spin_hub.core.files import README, SPIN, is_licence
from spin_hub.errors import DeltaNotFound, NotPushable
from spin_hub.hub.token import account
from spin_hub.kinds import DELTA, kind_of
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.record import Record
from spin_hub.workflows.verify import verified


def push(folder: str | Path, options: PushOptions, kind: str | None = None, reporter: Reporter = SILENT) -> Outcome:
    """Publish a folder that ``edit``, ``select`` or ``apply`` wrote.

    Args:
        folder: an edited model or a delta folder.
        options: where and how.
        kind: ``delta`` publishes the delta of an edited model or an adapter alone; None what the folder is.
        reporter: called with progress.

    Raises:
        NotPushable: the folder is not whole.
        SpinHubError: anything wrong with the token, the repo or the Hub; nothing was changed there.
    """
    folder = Path(folder)
    delta, record = _checked(folder, reporter)
    if kind == record.kind or kind is None:
        return _push(folder, record, options, reporter)
    asked = kind_of(kind)
    if asked is not DELTA:
        raise NotPushable(path=folder, why=f"it is {record.facts.noun}, not {asked.noun}")
    with TemporaryDirectory(prefix="spin-hub-", ignore_cleanup_errors=True) as place:
        # An adapter's folder is not a model, but has the base's licences too.
        base = open_base(str(folder), reporter) if record.facts.whole else None
        target, known = Placed(Path(place) / "delta", False), replace(record, adapter=None)
        alone = write_delta_folder(target, base, delta, known, reporter)
        if base is None:
            copy_others(folder, filter(is_licence, (path.name for path in folder.iterdir())), Path(place) / "delta")
        outcome = _push(Path(place) / "delta", alone.record, options, reporter)
    return replace(outcome, output=folder)


def _push(folder: Path, record: Record, options: PushOptions, reporter: Reporter) -> Outcome:
    local = read_card(folder)
    publication = publish.prepare(account(), options, record.kind, record.model, reporter)
    publish.check_card(publication, record, local)
    pushed = publish.publish(publication, folder, record, reporter, finished=False)
    return verified(replace(Outcome(folder, record), pushed=pushed), options, None, reporter)


def _checked(folder: Path, reporter: Reporter) -> tuple[Delta, Record]:
    """The delta and the record of a folder that is whole, as far as touched weights and names show."""
    if not folder.is_dir():
        raise DeltaNotFound(path=folder, what="edited model or delta")
    with step(reporter, "Reading the delta"):
        delta, record = open_delta(folder)
    if record is None:
        raise NotPushable(path=folder, why="it has no record (spin.json) that speaks of its delta")
    if record.facts.whole:
        with step(reporter, "Checking the touched weights"):
            _check_model(folder, delta)
    return delta, record


def _check_model(folder: Path, delta: Delta) -> None:
    if not (folder / SPIN).is_dir():
        raise NotPushable(path=folder, why="it is not an edited model")
    missing = [name for name in delta.base.files if name != README and not (folder / name).is_file()]
    if missing:
        raise NotPushable(path=folder, why=f"{missing[0]} is missing")
    state = state_of(read_index(folder), delta)
    if state is not State.EDITED:
        raise NotPushable(path=folder, why=f"its touched weights hold {state.value}, not the edit")
