"""Loading a causal language model from a checkpoint folder, with everything refused that would score wrongly."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.errors import (
    DeviceOutOfMemory,
    ModelNotLoadable,
    NotCausal,
    QuantisedCheckpoint,
    UnsupportedModel,
)
from spin_hub.models.causes import check_code, check_type, not_loadable, tokenizer_not_loadable
from spin_hub.models.device import Placement

# In the model's folder there is no adapter for transformers to add in passing; it looks for one here.
NO_ADAPTER: Final = {"subfolder": ".no-adapter"}

# Errors that a model's code raises for a config or an input that it was not written for.
MODEL_ERRORS: Final = (AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)

# Errors that transformers raises for a folder that it cannot load.
LOADING_ERRORS: Final = (
    *MODEL_ERRORS, OSError, LookupError, ArithmeticError, ImportError, SafetensorError, StrictDataclassError,
)  # fmt: skip


def check_causal(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse configs of encoders, encoder-decoders and anything else without a causal language-model head.

    Raises:
        NotCausal: naming what the config says.
        ModelNotLoadable: the model type is missing, or unknown to this version of transformers.
        QuantisedCheckpoint: an FP8 checkpoint with scales, which cannot be scored.
    """
    if config.get("quantization_config"):
        raise QuantisedCheckpoint(path=folder, method="FP8 with scales; it can be patched, but not scored")
    check_type(folder, config)
    kind, architectures = config.get("model_type"), config.get("architectures") or []
    names = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind, ())
    causal = {names} if isinstance(names, str) else set(names)
    own_code = "AutoModelForCausalLM" in (config.get("auto_map") or {})
    # A trainer's wrapper has a class that transformers does not know: the model type decides then, as in transformers.
    known = set(architectures) & set(dir(transformers))
    decoders = ("ForCausalLM", "ForConditionalGeneration")
    heads = {name for name in known - causal if "For" in name and not name.endswith(decoders)}
    other_head = bool(heads) and not causal & set(architectures)
    if config.get("is_encoder_decoder") or not (own_code or (causal and not other_head)):
        raise NotCausal(path=folder, architecture=", ".join(map(str, architectures)) or kind)


def load_model(
    index: CheckpointIndex, where: Placement, trust_remote_code: bool, device_map: Mapping[str, Any] | None = None
) -> PreTrainedModel:
    """Load a model for scoring: in eval mode, on the device, without gradients for its parameters.

    Args:
        index: the checkpoint.
        where: the device and the precision.
        trust_remote_code: whether the model's own code may run.
        device_map: of a model whose layers stay on the disk (:func:`spin_hub.models.layers.hollow_map`).

    Raises:
        ModelNotLoadable: transformers refuses it, or the checkpoint lacks weights.
        DeviceOutOfMemory: the model does not fit on the device.
    """
    device = where.device
    _check_index(index)
    check_code(index.folder, "config.json", trust_remote_code)
    try:
        with without_bars():
            model, report = AutoModelForCausalLM.from_pretrained(
                index.folder,
                dtype=where.dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
                adapter_kwargs=NO_ADAPTER,
                **({"device_map": dict(device_map)} if device_map else {}),
            )
        model = model if device_map else model.to(device)
    except torch.OutOfMemoryError as error:
        raise DeviceOutOfMemory(device=device, why="the model's weights do not fit") from error
    except LOADING_ERRORS as error:
        raise not_loadable(index.folder, error, trust_remote_code) from error
    if getattr(model, "_hf_peft_config_loaded", False):
        message = f"transformers adds the adapter in {index.folder} to the model that it loads from there."
        raise ModelNotLoadable(message, hint="Move adapter_config.json away.", path=index.folder, why="an adapter")
    missing = sorted(report["missing_keys"]) or sorted(str(entry) for entry in report["mismatched_keys"])
    if missing:
        raise ModelNotLoadable(path=index.folder, why=f"its checkpoint lacks {missing[0]}")
    model.eval().requires_grad_(False)
    return model


def load_skeleton(index: CheckpointIndex, trust_remote_code: bool) -> PreTrainedModel:
    """The model's modules without memory for its weights: names and shapes, before anything large is read.

    Raises:
        ModelNotLoadable: transformers does not know how to build it.
    """
    _check_index(index)
    check_code(index.folder, "config.json", trust_remote_code)
    try:
        options = {"trust_remote_code": trust_remote_code}
        config = AutoConfig.from_pretrained(index.folder, local_files_only=True, **options)
        _check_depth(index, config)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, **options)
    except LOADING_ERRORS as error:
        raise not_loadable(index.folder, error, trust_remote_code) from error


def _check_index(index: CheckpointIndex) -> None:
    if not index.layout.metadata:
        raise ModelNotLoadable(
            f"{index.folder / str(index.layout.index)} has no metadata, without which transformers does not read it.",
            hint='Add "metadata": {} to it, beside its weight_map.',
            path=index.folder,
            why="no metadata",
        )


def _check_depth(index: CheckpointIndex, config: Any) -> None:
    """Refuse to build more layers than a checkpoint can have: an untrusted config may ask for a million."""
    depth = getattr(config.get_text_config(), "num_hidden_layers", None)
    if isinstance(depth, int) and depth > len(index.tensors):
        why = f"its config has {depth:,} layers, its checkpoint {len(index.tensors):,} tensors"
        raise ModelNotLoadable(path=index.folder, why=why)


def load_tokenizer(folder: Path, trust_remote_code: bool) -> Any:
    """Load the model's tokenizer.

    Raises:
        ModelNotLoadable: there is none, or it is damaged.
    """
    check_code(folder, "tokenizer_config.json", trust_remote_code)
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except Exception as error:
        # The tokenizers library raises bare exceptions for files that it cannot read.
        if type(error) is not Exception and not isinstance(error, LOADING_ERRORS):
            raise
        raise tokenizer_not_loadable(folder, error, trust_remote_code) from error


@contextmanager
def without_bars() -> Iterator[None]:
    """Keep transformers from drawing bars of its own within the block."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


DEPTH: Final = 4
_LIMITS: Final = {
    "intermediate_size": 256,
    "vocab_size": 512,
    "vocab_size_per_layer_input": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 1,
}


def shrunk(model: PreTrainedModel) -> PreTrainedModel:
    """A model of the same class with four layers, a narrow MLP and a small vocabulary, on the CPU in float32.

    Both halves have two layers of different kinds where the model has several, and counts of layers, such as how many
    share something, are cut to two. So upper layers find what they share with lower ones of their kind.

    Raises:
        UnsupportedModel: the class cannot be built from such a config.
    """
    config = copy.deepcopy(model.config)
    _shrink(config.get_text_config())
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            small = type(model)(config)
    except MODEL_ERRORS as error:
        why = f"a small model of its architecture, to check the layerwise engine with, cannot be built ({error})"
        raise UnsupportedModel(what=type(model).__name__, why=why) from error
    return small.float().eval().requires_grad_(False)


def _shrink(config: Any) -> None:
    depth = int(config.num_hidden_layers)
    kinds = getattr(config, "layer_types", None) or []
    other = next((number for number, kind in enumerate(kinds) if kind != kinds[0]), depth - 1)
    for name, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == depth:
            setattr(config, name, [value[0], value[other]] * (DEPTH // 2))
        elif name.endswith("_layers") and type(value) is int:
            setattr(config, name, min(value, DEPTH // 2))
    config.num_hidden_layers = DEPTH
    for name, limit in _LIMITS.items():
        if type(getattr(config, name, None)) is int:
            setattr(config, name, min(limit, getattr(config, name)))
