"""A loaded model's forward pass: logits only where a counted token is predicted, and attention in fast forms."""

import math
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
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


_HALF: Final = (torch.bfloat16, torch.float16)

_SHORT: Final = 256
"""Tokens up to which plain products take less time than the fused kernel, and little memory."""


class FastAttention(TorchFunctionMode):
    """Within the block, torch's fused attention of half-precision tensors on a CPU is computed in other forms.

    The fused kernel's backward pass in half precision took a seventh of all that scoring takes (torch 2.13). In
    float32 it takes half as long; and plain products with a softmax in float32, as transformers' own ``eager`` form
    has them, take half of that where examples are short. The rounding stays that of one half-precision operation.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not scaled_dot_product_attention or not _slow(args[0]):
            return func(*args, **kwargs)
        if len(args) == 3 and _plain(args[0], args[1], kwargs):
            return _causal(*args, scale=kwargs.get("scale"))
        wide = {name: _wide(value) for name, value in kwargs.items()}
        return func(*map(_wide, args), **wide).to(args[0].dtype)


def _slow(query: Tensor) -> bool:
    return query.device.type == "cpu" and query.dtype in _HALF


def _plain(query: Tensor, key: Tensor, options: dict[str, Any]) -> bool:
    """True if this is causal attention of a short sequence to itself, all else as by default."""
    changed = options.get("attn_mask") is not None or options.get("dropout_p") or options.get("enable_gqa")
    return bool(options.get("is_causal")) and not changed and query.shape[-2] == key.shape[-2] <= _SHORT


def _causal(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
    tokens = query.shape[-2]
    scores = (query * (scale or 1 / math.sqrt(query.shape[-1]))) @ key.transpose(-2, -1)
    later = torch.full((tokens, tokens), -torch.inf, dtype=scores.dtype).triu_(1)
    shares: Tensor = torch.softmax(scores + later, dim=-1, dtype=torch.float32).to(value.dtype)
    return shares @ value


def _wide(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in _HALF else value
