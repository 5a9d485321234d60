"""A layer's last linear map without its value, which its backward pass often does not need.

Where a layer ends by adding its last map's output to the residual, the gradients in it do not depend on that output:
running the layer once more only to differentiate it can leave that product out, a quarter of its forward pass.
Where a norm follows, they do; so :mod:`spin_hub.scoring.check` decides. The value is NaN meanwhile: a gradient
that does depend on it is NaN too, and never silently wrong.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


def last_map(layer: nn.Module, run: Callable[[], Any]) -> str | None:
    """The name, within a layer, of the linear map that is the last one when the layer is run.

    Returns:
        None where it is used more than once, or there is none.
    """
    used: list[str] = []
    with ExitStack() as hooks:
        for name, module in layer.named_modules():
            if isinstance(module, nn.Linear | Conv1D):
                hook = module.register_forward_hook(lambda *_, name=name: used.append(name))
                hooks.callback(hook.remove)
        run()
    return used[-1] if used and Counter(used)[used[-1]] == 1 else None


@contextmanager
def without_value(layer: nn.Module, name: str | None) -> Iterator[None]:
    """Within the block a linear map of a layer gives NaN, and the gradients of its real output."""
    module = dict(layer.named_modules()).get(name) if name is not None else None
    if not isinstance(module, nn.Linear | Conv1D) or "forward" in vars(module):
        yield
        return
    vars(module)["forward"] = partial(_unknown, module)
    try:
        yield
    finally:
        del vars(module)["forward"]


def _unknown(module: nn.Linear | Conv1D, inputs: Tensor) -> Tensor:
    weight = module.weight.t() if isinstance(module, Conv1D) else module.weight
    return _Unknown.apply(inputs, weight)  # type: ignore[no-any-return, no-untyped-call]


class _Unknown(torch.autograd.Function):
    """``inputs @ weight.T`` with the right gradient and no value."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor) -> Tensor:
        """NaN in the product's shape."""
        ctx.save_for_backward(weight)
        return inputs.new_full((*inputs.shape[:-1], weight.shape[0]), torch.nan)

    @staticmethod
    def backward(ctx: Any, *deltas: Tensor) -> tuple[Tensor, None]:
        """The gradient at the inputs."""
        (weight,) = ctx.saved_tensors
        return deltas[0] @ weight, None
