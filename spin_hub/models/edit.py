"""Weights set to zero in a loaded model, and put back exactly: for a block, or until a delta is reverted."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from spin_hub.core.delta import ZERO, BaseRef, Delta, TensorEdit
from spin_hub.core.selection import Indices, Selection
from spin_hub.errors import ModelChanged
from spin_hub.models.coordinates import parameters_of
from spin_hub.models.parameters import CODES, Place, as_bits, as_bytes, differing, originals, place

Shape = tuple[int, ...]


@contextmanager
def switched(model: Any, selection: Selection) -> Iterator[None]:
    """Set the selected weights to zero (all bits) for a block, and restore the exact bits after it.

    Nothing is changed where any parameter is refused. Blocks may be nested, with overlapping selections too.

    Args:
        model: a loaded module, on any device.
        selection: flat row-major positions by the names of the checkpoint's tensors, or of the model's parameters.

    Raises:
        NotEditable: a parameter that the model lacks, that does not hold the positions, or in which no single
            element can be set.
    """
    names = parameters_of(model, selection.indices)
    with zeroed(model, Selection({names[name]: indices for name, indices in selection})):
        yield


def zeroed(model: nn.Module, selection: Selection, shapes: Mapping[str, Shape] = MappingProxyType({})) -> ExitStack:
    """Set the selected weights to zero; closing the stack puts their values back.

    They are looked up by name again then, so the model may be moved, converted or offloaded in between.

    Args:
        model: a loaded module.
        selection: by the names of ``model.named_parameters()``.
        shapes: which the parameters must have.

    Raises:
        NotEditable: as :func:`switched`; from closing, where a parameter has gone: the others are back.
    """
    places = [(name, indices, place(model, name, indices, shapes.get(name))) for name, indices in selection]
    # Two names may refer to one tied tensor: the first to be saved is the last to be put back.
    with ExitStack() as stack:
        for name, indices, where in places:
            values = where.take()
            stack.callback(_put, model, name, indices, values)
            where.put(_edited(values))
        return stack.pop_all()


def _edited(values: Tensor) -> Tensor:
    new = torch.from_numpy(ZERO.write(as_bytes(values)))
    return new.reshape(-1).view(values.dtype).to(values.device)


def _put(model: nn.Module, name: str, indices: Indices, values: Tensor) -> None:
    place(model, name, indices).put(values)


class Applied:
    """A delta that is in a model while the block lasts; made by :func:`applied`."""

    def __init__(self, delta: Delta, model: Any) -> None:
        self._delta = delta
        self._model = model
        self._open: list[ExitStack] = []

    def __enter__(self) -> Any:
        names = parameters_of(self._model, self._delta.edits)
        selection = Selection({names[name]: edit.indices for name, edit in self._delta.edits.items()})
        shapes = {names[name]: edit.shape for name, edit in self._delta.edits.items()}
        self._open.append(zeroed(self._model, selection, shapes))
        return self._model

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.pop().close()


def applied(delta: Delta, model: Any) -> Applied:
    """Apply a delta to a loaded model for a block: ``with applied(delta, model): ...``.

    The weights become zero, whatever the model has there, and afterwards every bit is back, after an exception too.
    Blocks may be nested, with overlapping deltas, and one object may be entered again, within itself too; they have
    to be left in the reverse order. Within a block the model may be moved or converted. What the weights are
    meanwhile every thread sees: let one thread at a time switch a model.

    Args:
        delta: of the model's base.
        model: as ``transformers`` loads it, on any devices, or offloaded by ``accelerate`` to memory or to the disk.
            Parameters that are tied to others and offloaded are refused.

    Raises:
        NotEditable: from entering, which changes nothing then: a tensor that the model lacks, holds in another shape,
            or in a form in which no single weight can be set, such as a quantised one.
    """
    return Applied(delta, model)


def apply_(delta: Delta, model: Any, force: bool = False) -> Delta:
    """Set a delta's weights to zero in a loaded model, until :func:`revert_`.

    Applying it twice is applying it once.

    Args:
        delta: of the model's base.
        model: as :func:`applied`.
        force: set weights to zero also where they are not the delta's originals, as in a fine-tune of its base.

    Returns:
        What puts back what was there: ``revert_(returned, model)``. It is the delta itself, unless some weights were
        not its originals, bit by bit in its own type.

    Raises:
        NotEditable: as :func:`applied`; nothing is changed.
        ModelChanged: some weights are neither the delta's originals nor zero, and ``force`` is not given; nothing is
            changed.
    """
    found = _find(delta, model)
    advice = "If it is a fine-tune of the delta's base, add force=True, and keep what apply_ returns to revert it."
    _check(found, force, advice)
    for entry in found:
        entry.place.put(_edited(entry.values))
    return _replaced(delta, found)


def revert_(delta: Delta, model: Any, force: bool = False) -> None:
    """Put a delta's original values back into a loaded model; in a model that has them nothing changes.

    In a model of another float type than the delta's they are rounded as in loading, so they are what the base's
    weights would be there.

    Args:
        delta: that was applied, or what :func:`apply_` returned.
        model: as :func:`applied`.
        force: put them back also where a weight is neither zero nor its original, as after training.

    Raises:
        NotEditable, ModelChanged: as :func:`apply_`; nothing is changed.
    """
    found = _find(delta, model)
    advice = "If they were trained since, add force=True. A fine-tune is reverted by what apply_ returned for it."
    _check(found, force, advice)
    for entry in found:
        entry.place.put(entry.originals)


@dataclass(frozen=True, eq=False)
class _Found:
    """One edited tensor in a model: where it is, the model's values, and the delta's, in the model's type."""

    tensor: str
    edit: TensorEdit
    place: Place
    values: Tensor
    originals: Tensor


def _find(delta: Delta, model: Any) -> list[_Found]:
    found = []
    names = parameters_of(model, (name for name, edit in delta.edits.items() if len(edit.indices)))
    for tensor, edit in delta.edits.items():
        if len(edit.indices):
            where = place(model, names[tensor], edit.indices, edit.shape)
            values = where.take()
            found.append(_Found(tensor, edit, where, values, originals(edit, where.dtype).to(values.device)))
    return found


def _check(found: list[_Found], force: bool, advice: str) -> None:
    changed = {
        entry.tensor: int((differing(entry.values, entry.originals) & (as_bits(entry.values) != 0)).sum())
        for entry in found
    }
    total = sum(changed.values())
    if total and not force:
        first = next(name for name, count in changed.items() if count)
        weights = sum(len(entry.values) for entry in found)
        raise ModelChanged(changed=total, weights=weights, what=first, advice=advice)


def _replaced(delta: Delta, found: list[_Found]) -> Delta:
    """The delta with the model's own values as originals."""
    edits = {
        entry.tensor: TensorEdit(
            entry.edit.shape, CODES[entry.values.dtype], entry.edit.indices, as_bytes(entry.values)
        )
        for entry in found
    }
    if all(
        edit.dtype == delta.edits[name].dtype and (edit.original == delta.edits[name].original).all()
        for name, edit in edits.items()
    ):
        return delta
    chosen_on = {"name": delta.base.repo_id, "repo_id": delta.base.repo_id, "commit": delta.base.commit}
    return Delta(edits, BaseRef(), {**delta.method, "chosen_on": delta.method.get("chosen_on", chosen_on)})
