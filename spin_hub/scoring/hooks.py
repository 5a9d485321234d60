"""Hooks that catch each target's input and output gradient while the model's own passes run."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from spin_hub.errors import UnsupportedModel
from spin_hub.models.forward import Hooks
from spin_hub.scoring.targets import Target

OnGradient = Callable[[Target, Tensor, Tensor], None]
"""Called in the backward pass with a target, the gradient at its output (B, T, out) and its input (B, T, in)."""


class GradientCapture(Hooks):
    """Catches each target's input and output gradient; no weight needs a gradient of its own.

    The graph starts at the first target: an output that needs no gradient yet becomes a leaf there, so nothing
    below it is differentiated.

    Raises (in the forward pass):
        UnsupportedModel: a target that is used more than once, or whose input is not (batch, tokens, features).
    """

    def __init__(self, targets: Sequence[Target], shape: tuple[int, int], on_gradient: OnGradient) -> None:
        super().__init__()
        self._targets = targets
        self._shape = shape
        self._on_gradient = on_gradient
        self._seen: set[str] = set()

    def __enter__(self) -> "GradientCapture":
        self.handles = [target.module.register_forward_hook(self._hook(target)) for target in self._targets]
        return self

    def _hook(self, target: Target) -> Callable[[nn.Module, tuple[Any, ...], Any], Tensor]:
        def caught(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            inputs = self._checked(target, args[0])
            version = inputs._version

            def on_backward(delta: Tensor) -> None:
                if inputs._version != version:
                    raise UnsupportedModel(what=target.parameter, why="the model overwrites its input in place")
                self._on_gradient(target, delta.detach(), inputs)

            leaf = output if output.requires_grad else output.detach().requires_grad_()
            leaf.register_hook(on_backward)  # type: ignore[no-untyped-call]
            # A copy of a new leaf, because the model may go on in place, which a leaf does not allow.
            return output if leaf is output else leaf.clone()

        return caught

    def _checked(self, target: Target, inputs: Tensor) -> Tensor:
        if target.parameter in self._seen:
            raise UnsupportedModel(what=target.parameter, why="the model uses it more than once in a pass")
        self._seen.add(target.parameter)
        if tuple(inputs.shape[:-1]) != self._shape:
            why = f"its input has the shape {list(inputs.shape)} instead of (batch, tokens, features)"
            raise UnsupportedModel(what=target.parameter, why=why)
        return inputs.detach()
