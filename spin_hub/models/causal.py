"""A check that a model is causal, by asking it: a later token must not change what it says of earlier ones.

Everything here relies on it: padding on the right needs no mask, and a token's loss depends on the tokens before it.
Masked models register as causal ones, and own code may leave its mask off, which no name tells.
"""

from typing import Final

import torch
from torch import Tensor
from transformers import PreTrainedModel

from spin_hub.errors import NotCausal, UnsupportedModel, first_line
from spin_hub.models.forward import FastAttention
from spin_hub.models.load import MODEL_ERRORS, shrunk

_TOKENS: Final = 16

_TOLERANCE: Final = 1e-4
"""The relative change of earlier logits up to which it is rounding, in float32.

A causal model does the same operations on equal numbers, so mostly it is 0; experts that get other tokens are summed in
another order. Attention in both directions changes logits by 1e-2 and more, also with random weights."""

_TOLERANCE_OF_HALF: Final = 0.05
"""The tolerance in half precision, within which a small model decides in float32."""


def check_is_causal(model: PreTrainedModel) -> None:
    """Refuse a model in which a later token changes the logits of earlier ones.

    Args:
        model: in eval mode, all its layers present.

    Raises:
        NotCausal: it looks ahead.
        UnsupportedModel: it fails on a short text.
    """
    change = _change(model)
    if model.dtype.itemsize < 4:
        # Rounding hides a small change: where there is any, a small model of the same code is asked in float32.
        ahead = change > _TOLERANCE_OF_HALF or (change > 0 and _change(shrunk(model)) > _TOLERANCE)
    else:
        ahead = change > _TOLERANCE
    # NaN is neither: it is found where the loss is.
    if ahead:
        message = f"{type(model).__name__} is not causal: a later token changes what it predicts before it."
        hint = "Models that look both ways, such as encoders and masked diffusion models, cannot be scored or measured."
        raise NotCausal(message, hint=hint, path=model.name_or_path, architecture=type(model).__name__)


@torch.inference_mode()
def _change(model: PreTrainedModel) -> float:
    """The relative change of the logits of the first half of a short text when its second half becomes padding."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    ids = torch.arange(1, _TOKENS + 1, device=model.device) * max(1, vocabulary // (_TOKENS + 2)) % vocabulary
    half = _TOKENS // 2
    before, after = (
        _logits(model, ids, half),
        _logits(model, torch.cat((ids[:half], torch.zeros_like(ids[half:]))), half),
    )
    return float((after - before).norm() / before.norm().clamp_min(torch.finfo(torch.float32).tiny))


def _logits(model: PreTrainedModel, ids: Tensor, count: int) -> Tensor:
    try:
        with FastAttention():
            logits: Tensor = model(input_ids=ids.unsqueeze(0), use_cache=False).logits
    except torch.OutOfMemoryError:
        raise
    except MODEL_ERRORS as error:
        why = f"a pass of {len(ids)} tokens through it fails with {type(error).__name__} ({first_line(error, 120)})"
        raise UnsupportedModel(what=type(model).__name__, why=why) from error
    return logits[0, :count].float()
