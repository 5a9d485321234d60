"""The table SCORES of formulas of importance: how examples are summed up, and how sums become scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from spin_hub.errors import UsageError
from spin_hub.plugins import Plugin, Table, registered
from spin_hub.recipe import DEFAULT_SCORE

# Help lists the scores, and PyTorch takes seconds to import.
if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Passed:
    """A batch's tokens at one scored matrix.

    Attributes:
        delta: shape (tokens, out), the loss's gradient at the linear map's output.
        inputs: shape (tokens, in), the map's input, of the same dtype.
        segments: each example's first token, and the first behind it; other tokens are padding.
        transposed: whether the weight is held as (in, out), as GPT-2's are, rather than (out, in).
    """

    delta: Tensor
    inputs: Tensor
    segments: Sequence[tuple[int, int]]
    transposed: bool = False


class Score(Protocol):
    """One entry of the table: a formula of importance, larger being more important and none negative.

    Attributes:
        name: as in ``--score`` and in records.
        sentence: a noun phrase for help and card, which follows "A weight's importance for a set of examples is".
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def sentence(self) -> str: ...  # noqa: D102

    def accumulate(self, sums: Tensor, passed: Passed) -> None:
        """Add a batch to a matrix's sums, in place.

        Args:
            sums: shape and layout of the weight, zero before the first batch of a set; float32 or better, or with
                ``--accumulate model`` of the model's dtype.
            passed: the batch.
        """
        ...

    def finish(self, weight: Tensor, sums: Tensor) -> Tensor:
        """Turn the sums of all examples into scores, shape and dtype of ``sums``, which may be overwritten."""
        ...


SCORES: Final[Table[Score]] = registered("spin_hub.scores", {"taylor": "spin_hub.scoring.scores.taylor:TAYLOR"})
"""All scores by name, those of installed packages after the library's own."""


def score_named(name: str, recorded: Mapping[str, str] | None = None) -> Score:
    """Return the score of a recipe.

    Args:
        name: as in ``--score``.
        recorded: package and version that a record names for it.

    Raises:
        PluginMissing: the record's score is that of a package that is not installed.
        UsageError: no score has this name.
    """
    if name in SCORES:
        return SCORES[name]
    if recorded:
        plugin = Plugin(SCORES.group, name, str(recorded.get("package")), str(recorded.get("version")))
        return SCORES.needed(name, [plugin])
    raise UsageError(message=f"The score must be one of {', '.join(SCORES)}, not {name!r}.")


def recorded_score(name: str) -> dict[str, str] | None:
    """Return the part of a record that describes a score: its sentence, and the package that brings it.

    The default has none: every card describes it, and records stay as they were before there were others.
    """
    if name == DEFAULT_SCORE:
        return None
    plugin = SCORES.plugin(name)
    origin = {"package": plugin.package, "version": plugin.version} if plugin else {}
    return {"sentence": SCORES[name].sentence, **origin}
