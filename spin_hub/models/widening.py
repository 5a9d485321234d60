"""Half-precision weights computed in float32: mapped from the shards as they are, and widened while they are used.

A model of 15 GB in bfloat16 would take 30 GB in float32. Here it takes two layers' worth: a decoder layer's weights
become float32 when the layer is entered and are dropped when it is left. Widening is exact, so every result has the
bits of a model that was loaded in float32.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Final

import torch
from accelerate import init_empty_weights  # type: ignore[import-untyped]
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.models.causal import check_is_causal
from spin_hub.models.coordinates import coordinates
from spin_hub.models.device import Placement, free_memory, is_widened, stored_dtype
from spin_hub.models.layers import LayerSource, LoadedLayers, decoder_layers
from spin_hub.models.load import MODEL_ERRORS, load_model, load_skeleton, shrunk

HALF: Final = (torch.bfloat16, torch.float16)
"""The precisions that are widened."""

# A module's parameters or buffers, a name among them, and the half-precision tensor of that name.
_Entry = tuple[dict[str, Any], str, Tensor]


class WidenedLayers:
    """The layers of a half-precision model that computes in float32; see :class:`spin_hub.models.layers.LayerSource`.

    The model's own passes work too: every module widens its weights as it is called. The rows of the input embedding
    are widened, not all of it.

    Args:
        model: loaded in half precision, on the CPU; its forward methods are wrapped, and its buffers become float32.
    """

    all_present = False
    runnable = True

    def __init__(self, model: PreTrainedModel) -> None:
        _, layers = decoder_layers(model)
        self._model = model
        self._layers = layers
        self._pool = ThreadPoolExecutor(1, "widening")
        self._coming: tuple[int, Future[list[Tensor]]] | None = None
        within = {id(module) for layer in layers for module in layer.modules()}
        embedding = model.get_input_embeddings()
        for number, layer in enumerate(layers):
            _wrap(layer, partial(self.present, number))
        for module in model.modules():
            if id(module) in within:
                continue
            if module is embedding and isinstance(module, nn.Embedding) and module.max_norm is None:
                _wrap_lookup(module)
            elif _half([module]):
                _wrap(module, partial(_wide, [module]))

    def settle(self) -> None:
        """Widen all weights for good: twice the memory, and no pass has to widen them again."""
        entries = _half(self._model.modules())
        _put(entries, _floats(entries))

    @contextmanager
    def present(self, number: int, following: int | None = None) -> Iterator[None]:
        """Widen a layer's weights within the block, and in a thread meanwhile those of the following one."""
        entries = _half(self._layers[number].modules())
        coming, self._coming = self._coming, None
        # An inner block, such as the layer's own call, finds nothing left to widen.
        wide = coming[1].result() if entries and coming and coming[0] == number else _floats(entries)
        if following is not None and following != number:
            self._coming = following, self._pool.submit(_floats, _half(self._layers[following].modules()))
        with _replaced(entries, wide):
            yield


def load_widened(index: CheckpointIndex, trust_remote_code: bool) -> tuple[PreTrainedModel, LayerSource]:
    """Load a half-precision checkpoint on the CPU so that it computes in float32.

    Where the architecture does not compute the same that way, it is loaded in float32 as a whole.

    Raises:
        ModelNotLoadable: transformers refuses it, or the checkpoint lacks weights.
    """
    cpu = torch.device("cpu")
    model = load_model(index, Placement(cpu, stored_dtype(index)), trust_remote_code)
    if widens(model):
        return model, widen(model, trust_remote_code)
    return load_model(index, Placement(cpu, torch.float32), trust_remote_code), LoadedLayers()


def load_running(index: CheckpointIndex, where: Placement, trust_remote_code: bool) -> PreTrainedModel:
    """Load a model for forward passes: in memory where it fits, else with its weights widened as they are used.

    Args:
        index: the checkpoint.
        where: device and precision.
        trust_remote_code: whether the model's own code may run.

    Raises:
        ModelNotLoadable: transformers refuses it, or its files are not those of the model.
        NotCausal: a later token changes what the model predicts before it.
        DeviceOutOfMemory: the model does not fit on the device.
    """
    coordinates(load_skeleton(index, trust_remote_code), index)
    stored = stored_dtype(index)
    if is_widened(where, stored):
        size = sum(place.span.nbytes for place in index.tensors.values())
        free = free_memory(where.device)
        if free is not None and size * where.dtype.itemsize // stored.itemsize > free:
            model, _ = load_widened(index, trust_remote_code)
            check_is_causal(model)
            return model
    model = load_model(index, where, trust_remote_code)
    check_is_causal(model)
    return model


def widen(model: PreTrainedModel, trust_remote_code: bool = False) -> WidenedLayers:
    """Have a half-precision model on the CPU compute in float32.

    Args:
        model: loaded in its checkpoint's half precision, so that its weights are mapped from the shards.
        trust_remote_code: whether the model's own code may run.

    Returns:
        The source of its layers.
    """
    # Tables such as rotary frequencies are rounded where a model is built in half precision.
    with init_empty_weights(include_buffers=False), torch.random.fork_rng(devices=[]):
        built = AutoModelForCausalLM.from_config(model.config, dtype=torch.float32, trust_remote_code=trust_remote_code)
    persistent = model.state_dict().keys()
    for name, buffer in built.named_buffers():
        if name not in persistent:
            parent, _, last = name.rpartition(".")
            model.get_submodule(parent)._buffers[last] = buffer
    return WidenedLayers(model)


def widens(skeleton: PreTrainedModel) -> bool:
    """Find out whether a model of this architecture computes the same widened as in float32, on a small random one.

    Args:
        skeleton: the model's modules, with or without memory.
    """
    small = shrunk(skeleton)
    ids = torch.arange(1, 9).unsqueeze(0)
    try:
        with torch.inference_mode():
            half = small.to(torch.bfloat16)
            expected = copy.deepcopy(half).float()(input_ids=ids, use_cache=False).logits
            WidenedLayers(half)
            return torch.equal(half(input_ids=ids, use_cache=False).logits, expected)
    except MODEL_ERRORS:
        return False


@contextmanager
def _wide(modules: Iterable[nn.Module]) -> Iterator[None]:
    entries = _half(modules)
    with _replaced(entries, _floats(entries)):
        yield


def _half(modules: Iterable[nn.Module]) -> list[_Entry]:
    """The half-precision parameters and buffers that the modules hold themselves."""
    return [
        (held, name, tensor)
        for module in modules
        for held in (module._parameters, module._buffers)
        for name, tensor in held.items()
        if tensor is not None and tensor.dtype in HALF
    ]


def _floats(entries: Sequence[_Entry]) -> list[Tensor]:
    """The entries' tensors in float32; one that several share, such as a tied embedding, stays one."""
    wide = {id(tensor): _like(tensor, tensor.detach().float()) for _, _, tensor in entries}
    return [wide[id(tensor)] for _, _, tensor in entries]


@contextmanager
def _replaced(entries: Sequence[_Entry], tensors: Sequence[Tensor]) -> Iterator[None]:
    """Put tensors in the entries' places within the block."""
    try:
        _put(entries, tensors)
        yield
    finally:
        for held, name, tensor in entries:
            held[name] = tensor


def _put(entries: Sequence[_Entry], tensors: Sequence[Tensor]) -> None:
    for (held, name, _), tensor in zip(entries, tensors, strict=True):
        held[name] = tensor


def _like(before: Tensor, tensor: Tensor) -> Tensor:
    return nn.Parameter(tensor, requires_grad=False) if isinstance(before, nn.Parameter) else tensor


def _wrap(module: nn.Module, block: Callable[[], AbstractContextManager[None]]) -> None:
    """Run a module's forward method within a block."""
    inner = module.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        with block():
            return inner(*args, **kwargs)

    vars(module)["forward"] = forward


def _wrap_lookup(embedding: nn.Embedding) -> None:
    """Have an embedding look up rows that were widened, in a table of those rows alone."""
    inner = embedding.forward

    def forward(ids: Tensor, *args: Any, **kwargs: Any) -> Any:
        entries = _half([embedding])
        if not entries:
            return inner(ids, *args, **kwargs)
        rows, places = torch.unique(ids, return_inverse=True)
        # A scale beside the table is widened as it is.
        narrow = ((tensor, tensor.detach()[rows] if name == "weight" else tensor) for _, name, tensor in entries)
        tables = [_like(before, tensor.float()) for before, tensor in narrow]
        padding, embedding.padding_idx = embedding.padding_idx, None
        try:
            with _replaced(entries, tables):
                return inner(places, *args, **kwargs)
        finally:
            embedding.padding_idx = padding

    vars(embedding)["forward"] = forward
