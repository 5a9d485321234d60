"""States of a comparison: a base, an edit of it or another model, and a random control."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from spin_hub.artifacts.base_model import Base, open_base
from spin_hub.artifacts.open import fetch_delta, open_delta
from spin_hub.checkpoint.compat import fit_of, refusal
from spin_hub.core.delta import Delta
from spin_hub.core.files import SPIN
from spin_hub.core.ranking import RankedTensor, Ranking
from spin_hub.core.rules import at_random
from spin_hub.core.selection import Selection
from spin_hub.errors import DeltaMismatch, SpinHubError, UsageError
from spin_hub.evidence import BASE, CONTROL, EDITED
from spin_hub.models.device import Placement
from spin_hub.models.edit import revert_, switched
from spin_hub.models.load import check_causal, load_tokenizer
from spin_hub.models.widening import load_running
from spin_hub.progress import SILENT, Reporter, step

_COMPARING: Final = "Comparing the edit with the model"


@dataclass(frozen=True, eq=False)
class Other:
    """Another model, loaded beside the base, and the weights of it that are zero."""

    model: Any
    selection: Selection


State: TypeAlias = Selection | Other
"""The weights of the base model that are zero, or another model."""


def beside_base(states: Mapping[str, State]) -> dict[str, State]:
    """Return the base as it is, and then the states: the order in which they are measured."""
    return {BASE: Selection({}), **states}


@contextmanager
def turned(model: Any, state: State) -> Iterator[Any]:
    """Yield a state's model until the block ends, when every model is as it was, bit by bit.

    Args:
        model: the base, loaded, in eval mode.
        state: of it, or another model.

    Raises:
        UnsupportedModel: the model does not have the weights of a selection.
    """
    found, selection = (state.model, state.selection) if isinstance(state, Other) else (model, state)
    with switched(found, selection):
        yield found


@dataclass(frozen=True)
class ComparedStates:
    """The models and the edit of a comparison.

    Attributes:
        base: the model that is the base, or that holds the edit.
        delta: the edit, or None if there is none or it is unknown.
        folder: the local folder with the edit's record, or None.
        other: the model measured against the base, or None if the edit is switched on in the base itself.
        own: True if the edit is the other model's own, and in its files already.
    """

    base: Base
    delta: Delta | None
    folder: Path | None
    other: Base | None = None
    own: bool = False


def open_states(model: str, delta: str | None, against: str | None, reporter: Reporter = SILENT) -> ComparedStates:
    """Find the models and the edit, and refuse those that cannot be compared.

    Args:
        model: a base, an edited model, or with ``against`` any model made from the same base.
        delta: an edit of the model; None takes the model's own, if it has one.
        against: the base; None restores it in memory from the edit.
        reporter: called with progress.

    Raises:
        DeltaMismatch: the edit does not fit the model, or was made for a base other than the named one.
        SpinHubError: the two models have different tokenizers.
        UsageError: a model against itself.
        SpinHubError: a model or an edit that cannot be opened.
    """
    opened = open_base(model, reporter)
    check_causal(opened.source.folder, opened.index.config)
    found, folder = _edit_of(opened, delta, reporter)
    if against is None:
        with step(reporter, _COMPARING):
            _check_fit(opened, found)
        return ComparedStates(opened, found, folder)
    base = open_base(against, reporter)
    check_causal(base.source.folder, base.index.config)
    if base.source.folder.resolve() == opened.source.folder.resolve():
        raise UsageError(message="--against names the model itself.")
    own = delta is None and found is not None
    with step(reporter, _COMPARING):
        _check_fit(opened, found)
        if own and found is not None:
            _check_base(base, found)
    return ComparedStates(base, found, folder, opened, own)


def states_of(
    compared: ComparedStates, model: Any, where: Placement, trust_remote_code: bool, seed: int
) -> dict[str, State]:
    """Return the edit or the other model, and the control, for a loaded base.

    A base that holds the edit already is restored in memory; another model is loaded beside the base.
    """
    if compared.other is not None:
        _check_tokenizers(compared.base, compared.other, trust_remote_code)
        loaded = load_running(compared.other.index, where, trust_remote_code)
        zeroed = Selection({}) if compared.own or compared.delta is None else compared.delta.selection
        return {EDITED: Other(loaded, zeroed), **control_of(compared.delta, seed)}
    if compared.delta is None:
        return {}
    if fit_of(compared.base.index, compared.delta).all_zero:
        revert_(compared.delta, model)
    return {EDITED: compared.delta.selection, **control_of(compared.delta, seed)}


def control_of(delta: Delta | None, seed: int) -> dict[str, Selection]:
    """Return as many random weights of the base, or nothing if the changed weights are unknown."""
    if delta is None:
        return {}
    shapes = {name: RankedTensor(edit.shape, edit.dtype, {}) for name, edit in delta.edits.items()}
    return {CONTROL: at_random(Ranking(shapes, 0.0), delta.selection, seed)}


def _edit_of(base: Base, delta: str | None, reporter: Reporter) -> tuple[Delta | None, Path | None]:
    """Return the edit, and the local folder with its record."""
    if delta is None:
        if not (base.source.folder / SPIN).is_dir():
            return None, None
        with step(reporter, "Reading the delta"):
            found, record = open_delta(base.source.folder)
        return found, base.source.folder if record and base.source.repo_id is None else None
    source, found, record = fetch_delta(delta, reporter)
    local = record is not None and source.repo_id is None and source.path.is_dir()
    return found, source.path if local else None


def _check_fit(base: Base, delta: Delta | None) -> None:
    why = refusal(fit_of(base.index, delta)) if delta else None
    if why:
        raise DeltaMismatch(path=base.source.name, why=why)


def _check_base(base: Base, delta: Delta) -> None:
    """Refuse a base without the values that an edited model's own edit says it had."""
    fit = fit_of(base.index, delta)
    why = refusal(fit)
    if why is None and fit.equal < fit.weights:
        why = f"it holds {fit.equal:,} of the {fit.weights:,} values that the edit's base had"
    if why:
        raise DeltaMismatch(path=base.source.name, why=why)


def _check_tokenizers(base: Base, other: Base, trust_remote_code: bool) -> None:
    """Refuse tokenizers with different tokens, whose predictions cannot be compared."""
    theirs, ours = (load_tokenizer(found.source.folder, trust_remote_code).get_vocab() for found in (base, other))
    if theirs != ours:
        raise SpinHubError(
            f"{other.source.name} cannot be measured against {base.source.name}: their tokenizers have other tokens.",
            hint="--against takes a model with the same tokenizer, such as the one that this one was made from.",
        )
