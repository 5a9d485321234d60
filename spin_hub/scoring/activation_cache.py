"""What the layerwise engine keeps on disk, so that a scoring that was broken off need not go forwards again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Point:
    """Where a scoring goes on: the last layer that is behind it, and the gradients at its input, one a batch."""

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
        """Keeps a layer's inputs, one a batch.

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
        """Where a scoring can go on; None where nothing fits, and it has to begin anew.

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
