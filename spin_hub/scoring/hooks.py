"""Hooks that scoring adds to a model's own passes: captured gradients, the loss's gradient, and a skipped last product.

The last linear map of a layer often needs no value in the backward pass. Where a layer ends by adding that map's output
to the residual, no gradient within the layer depends on it, so running the layer again only to differentiate it can
leave that product out: a quarter of its forward pass. Where a norm follows, gradients do depend on it;
:mod:`spin_hub.scoring.choosing` decides. The skipped value is NaN, so a gradient that depends on it is NaN too, and
never silently wrong.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from spin_hub.errors import NotFinite, UnsupportedModel
from spin_hub.models.batches import Batch
from spin_hub.models.forward import FastAttention, Hooks, ResponseLogits
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


_CHUNK: Final = 1 << 20


def backward_from_loss(model: PreTrainedModel, batch: Batch, set_name: str) -> None:
    """Run the model on a batch and send the gradient of ``sum_i L_i`` back through the graph of that pass.

    L_i is the mean cross-entropy of example i's counted tokens. Something in the pass must start a graph.

    Args:
        model: its parameters need no gradients.
        batch: on the model's device.
        set_name: for the error.

    Raises:
        NotFinite: the loss of an example is not finite.
    """
    with torch.enable_grad(), FastAttention(), ResponseLogits(model, batch) as head:
        logits = model(input_ids=batch.ids, use_cache=False).logits
    gradient = _gradient(head.select(logits.detach()), batch, set_name)
    # The choice of logits is left out of the graph, which would make a second gradient of the largest size for it.
    if tuple(logits.shape[:2]) == batch.shape:
        everywhere = torch.zeros_like(logits)
        everywhere[batch.owner, batch.place] = gradient
        gradient = everywhere
    torch.autograd.backward(logits, gradient.view_as(logits))


def refuse(what: str, where: str, batch: Batch, finite: Tensor) -> None:
    """Refuse a batch in which a value of an example is not finite.

    Args:
        what: the value's name at the beginning of a sentence.
        where: what follows the example's row in that sentence.
        batch: B examples.
        finite: bool, shape (B,).

    Raises:
        NotFinite: naming the first such example.
    """
    if not bool(finite.all()):
        row = batch.rows[int((~finite).nonzero()[0])]
        raise NotFinite(what=what, where=f"for row {row} {where}")


def _gradient(logits: Tensor, batch: Batch, set_name: str) -> Tensor:
    """The loss's gradient at the logits, (softmax - one-hot) / counted; same shape and dtype, made in float32.

    It is made in chunks of rows, because a float32 copy of all logits is the largest tensor of a pass.
    """
    gradient = torch.empty_like(logits)
    finite = torch.ones(len(batch.rows), dtype=torch.bool, device=logits.device)
    rows = max(1, _CHUNK // logits.shape[1])
    dtype = torch.promote_types(torch.float32, logits.dtype)
    parts = (torch.split(tensor, rows) for tensor in (logits, gradient, batch.labels, batch.share, batch.owner))
    for scores, result, labels, share, owner in zip(*parts, strict=True):
        probabilities = torch.softmax(scores, dim=-1, dtype=dtype)
        places = labels.unsqueeze(1)
        # One NaN or positive infinity among the scores makes a row's probabilities NaN.
        usable = torch.isfinite(scores.gather(1, places) + probabilities.gather(1, places)).squeeze(1)
        finite[owner[~usable]] = False
        probabilities.scatter_add_(1, places, torch.full_like(places, -1, dtype=dtype))
        torch.mul(probabilities, share.unsqueeze(1), out=probabilities)
        result.copy_(probabilities)
    refuse("The loss", f"of the calibration set {set_name!r}", batch, finite)
    return gradient


def last_map(layer: nn.Module, run: Callable[[], Any]) -> str | None:
    """The name, within a layer, of the linear map that is the last one when the layer is run.

    Returns:
        None if it is used more than once, or there is none.
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
    """Within the block a linear map of a layer returns NaN, with the gradients of its real output."""
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
