"""A loaded model's forward pass, with logits only where a counted token is predicted."""

from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from spin_hub.models.batches import Batch


class Hooks:
    """Hooks that are removed when the block ends, however it ends."""

    def __init__(self) -> None:
        self.handles: list[RemovableHandle] = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self.handles:
            handle.remove()


class ResponseLogits(Hooks):
    """Has the model's head compute logits only where a counted token is predicted."""

    def __init__(self, model: Any, batch: Batch) -> None:
        super().__init__()
        self._head = model.get_output_embeddings()
        self._batch = batch

    def __enter__(self) -> "ResponseLogits":
        if isinstance(self._head, nn.Module):
            self.handles = [self._head.register_forward_pre_hook(self._gather)]
        return self

    def select(self, logits: Tensor) -> Tensor:
        """The logits of the R counted tokens, shape (R, vocabulary), also where the head was not reached."""
        batch = self._batch
        return logits[batch.owner, batch.place] if tuple(logits.shape[:2]) == batch.shape else logits[0]

    def _gather(self, _: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden: Tensor = args[0]
        if tuple(hidden.shape[:-1]) != self._batch.shape:
            return args
        return hidden[self._batch.owner, self._batch.place].unsqueeze(0), *args[1:]
