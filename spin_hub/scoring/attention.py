"""Attention in half precision in the forms that a CPU is fast at."""

import math
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

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
    """Whether this is causal attention of a short sequence to itself, all else as by default."""
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
