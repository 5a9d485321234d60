"""Weights that stay on the disk, read with some of their elements replaced."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from spin_hub.models.bits import as_bits


class Overlay(Mapping[str, Tensor]):
    """Stands in for the map from which an offloaded module reads its weights; nothing is written to the disk.

    Args:
        inner: parameter name -> tensor, a new tensor at every reading.
    """

    def __init__(self, inner: Mapping[str, Tensor]) -> None:
        self.inner = inner
        self._replaced: dict[str, dict[int, int]] = {}

    def replace(self, name: str, positions: Tensor, bits: Tensor) -> None:
        """Sets elements of a tensor for every later reading.

        Args:
            name: the tensor.
            positions: int64, shape (n,), flat row-major.
            bits: the elements as integers of their width, shape (n,).
        """
        known = self._replaced.setdefault(name, {})
        known.update(zip(positions.tolist(), bits.tolist(), strict=True))

    def __getitem__(self, name: str) -> Tensor:
        tensor = self.inner[name]
        known = self._replaced.get(name)
        if not known:
            return tensor
        # What was read may be a view of the file's pages.
        tensor = tensor.clone(memory_format=torch.contiguous_format)
        bits = as_bits(tensor)
        bits[torch.tensor(list(known))] = torch.tensor(list(known.values()), dtype=bits.dtype)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.inner)

    def __len__(self) -> int:
        return len(self.inner)
