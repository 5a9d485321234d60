"""Compatibility of a delta with a checkpoint on disk, from its headers and the touched bytes alone."""

from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.core.compat import Fit, Layout, MatrixFit, matrix_fit
from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.core.dtypes import EDITABLE


def fit_of(index: CheckpointIndex, delta: Delta) -> Fit:
    """Compare the weights at a delta's positions with the base's.

    A tensor that is missing, or has another shape or type, is a fact of the fit. Time and memory grow with the
    delta, not with the model.

    Raises:
        OSError: a shard cannot be read.
    """
    return Fit.of([_matrix(index, name, edit) for name, edit in delta.edits.items()])


def refusal(fit: Fit) -> str | None:
    """The reason why a delta cannot be applied to a checkpoint, as the end of a sentence, or None.

    A float type other than the delta's is no reason: positions are what matters.
    """
    missing = [matrix for matrix in fit.matrices if not matrix.found]
    misshapen = [matrix for matrix in fit.matrices if matrix.found and not matrix.shape_equal]
    packed = [matrix for matrix in fit.matrices if matrix.shape_equal and not matrix.comparable]
    if missing:
        return f"it lacks {_share(missing, fit)}, such as {missing[0].name}"
    if misshapen:
        return f"it has another shape in {_share(misshapen, fit)}, {_example(misshapen[0])}"
    if packed:
        return f"it has a type that cannot be edited in {_share(packed, fit)}, {_example(packed[0])}"
    return None


def _matrix(index: CheckpointIndex, name: str, edit: TensorEdit) -> MatrixFit:
    place = index.tensors.get(name)
    if place is None:
        return matrix_fit(name, edit, None, None)
    stored = Layout(place.span.shape, place.span.dtype)
    # An empty tensor has no bytes that could be mapped, and one of another shape none that would mean anything.
    readable = stored.shape == edit.shape and stored.dtype in EDITABLE and len(edit.indices)
    return matrix_fit(name, edit, stored, index.raw(name, edit.indices) if readable else None)


def _share(matrices: list[MatrixFit], fit: Fit) -> str:
    return f"{len(matrices):,} of the delta's {fit.expected:,} tensors"


def _example(matrix: MatrixFit) -> str:
    return f"such as {matrix.name}: {matrix.stored}, but {matrix.expected} in the delta"
