"""Resuming an interrupted scoring: finished layers are kept beside the output, and the same command continues.

Every layer is a ranking file of its own, so that it carries model, data, seed, precision and versions with it; a
layer that was made from anything else is refused. The folder goes away with the command that ends well.
"""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from spin_hub.artifacts.atomic import new_file
from spin_hub.artifacts.ranking_file import RankingFile, read_ranking, write_ranking
from spin_hub.checkpoint.system import IN_USE
from spin_hub.core.json import differences
from spin_hub.core.names import layer_and_matrix
from spin_hub.core.ranking import RankedTensor, Ranking
from spin_hub.errors import CorruptFile, PartialDiffers
from spin_hub.record import ModelRecord, ScoringRecord


@dataclass(frozen=True, eq=False)
class Point:
    """A point to continue from: the last finished layer, and the gradients at its input, one a batch."""

    layer: int
    gradients: Sequence[Tensor]


class Journal:
    """The layers' inputs, and the gradient at the input of the last finished layer, of all batches.

    Every file is written beside its place and renamed, so that one that is there is whole.

    Args:
        folder: of the files; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep_inputs(self, layer: int, tensors: Sequence[Tensor]) -> None:
        """Keep a layer's inputs, one a batch.

        Raises:
            OSError: they cannot be written.
        """
        self._write(self._inputs(layer), tensors)

    def inputs(self, layer: int, device: torch.device) -> list[Tensor]:
        """A layer's inputs, which were kept before."""
        return _read(self._inputs(layer), device)

    def finish(self, layer: int, gradients: Sequence[Tensor]) -> None:
        """A layer is finished: keeps the gradients at its input, and gives up what is not needed any more.

        Raises:
            OSError: they cannot be written.
        """
        self._write(self._gradient(layer), gradients)
        self._gradient(layer + 1).unlink(missing_ok=True)
        self._inputs(layer).unlink(missing_ok=True)

    def latest(self, highest: int, lowest: int, shapes: Sequence[torch.Size], device: torch.device) -> Point | None:
        """The point from which a scoring can continue, or None if it has to start again.

        Args:
            highest: of the layers that are not finished.
            lowest: of them.
            shapes: (examples, tokens) of every batch.
            device: of the gradients.
        """
        # The process may have ended after a layer was finished and before its gradient was kept.
        for layer in (highest + 1, highest + 2):
            needed = [self._gradient(layer), *(self._inputs(number) for number in range(lowest, layer))]
            if all(path.is_file() for path in needed):
                gradients = _read(self._gradient(layer), device)
                if [tensor.shape[:2] for tensor in gradients] == list(shapes):
                    return Point(layer, gradients)
        return None

    def _inputs(self, layer: int) -> Path:
        return self._folder / f"inputs-{layer:05}.pt"

    def _gradient(self, layer: int) -> Path:
        return self._folder / f"gradient-{layer:05}.pt"

    def _write(self, path: Path, tensors: Sequence[Tensor]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        with beside.open("wb") as file:
            torch.save([tensor.cpu() for tensor in tensors], file)
        beside.replace(path)


def _read(path: Path, device: torch.device) -> list[Tensor]:
    found: list[Tensor] = torch.load(path, map_location=device, weights_only=True)
    return found


SUFFIX: Final = ".partial"


@dataclass(frozen=True)
class Partial:
    """The finished layers of one scoring.

    Attributes:
        folder: ``<output>.partial``.
        model, scoring, keep: what a layer must have been made from.
    """

    folder: Path
    model: ModelRecord
    scoring: ScoringRecord
    keep: float

    @classmethod
    def beside(cls, output: Path, model: ModelRecord, scoring: ScoringRecord, keep: float) -> "Partial":
        """The finished layers of a scoring whose result goes to an output."""
        return cls(output.with_name(output.name + SUFFIX), model, scoring, keep)

    def finished(self) -> dict[str, RankedTensor]:
        """The matrices of all layers that are finished; damaged files count as not finished.

        Raises:
            PartialDiffers: a layer was made from something else.
        """
        found: dict[str, RankedTensor] = {}
        for path in sorted(self.folder.glob("*.safetensors")) if self.folder.is_dir() else ():
            try:
                content = read_ranking(path)
            except CorruptFile:
                path.unlink(missing_ok=True)
                continue
            self._check(content)
            found |= content.ranking.tensors
        return found

    def add(self, tensors: dict[str, RankedTensor]) -> None:
        """Keep the matrices of a finished layer."""
        layer, matrix = layer_and_matrix(next(iter(tensors)))
        name = f"layer-{layer:05}.safetensors" if layer is not None else f"{matrix}.safetensors"
        self.folder.mkdir(parents=True, exist_ok=True)
        with new_file(self.folder / name) as path:
            write_ranking(path, RankingFile(Ranking(tensors, self.keep), self.model, self.scoring))

    @property
    def journal(self) -> Journal:
        """The layerwise engine's journal in that folder."""
        return Journal(self.folder / "passes")

    def remove(self) -> None:
        """Remove what is kept, once it is not needed any more."""
        if not self.folder.is_dir():
            return
        try:
            shutil.rmtree(self.folder)
        except OSError as error:
            # Another process with the same output adds or removes layers meanwhile; what it leaves is its own.
            if error.errno not in IN_USE:
                raise

    def _check(self, content: RankingFile) -> None:
        mine = _decisive(self.keep, self.model, self.scoring)
        theirs = _decisive(content.ranking.keep, content.model, content.scoring)
        changed = [" ".join(path) for path, _, _ in differences(theirs, mine, within_lists=True)]
        if changed:
            raise PartialDiffers(path=self.folder, what=", ".join(changed[:_SHOWN]))


_SHOWN: Final = 3


def _decisive(keep: float, model: ModelRecord, scoring: ScoringRecord) -> dict[str, Any]:
    """Everything that decides the outcome; the reason for a precision does not, once it is taken."""
    recorded = {key: value for key, value in scoring.to_json().items() if key != "precision"}
    return {"keep": keep, "model": model.to_json(), "scoring": recorded}


def kept_date(output: Path) -> str | None:
    """Return the date for which the finished layers beside an output rendered the chat template, or None."""
    kept = _first(output)
    return kept.scoring.recipe.template_date if kept else None


def kept_ratio(output: Path) -> float | None:
    """The ratio up to which the finished layers beside an output keep weights; None if there are none."""
    kept = _first(output)
    return kept.ranking.keep if kept else None


def _first(output: Path) -> RankingFile | None:
    for path in sorted(output.with_name(output.name + SUFFIX).glob("*.safetensors")):
        with suppress(CorruptFile):
            return read_ranking(path)
    return None
