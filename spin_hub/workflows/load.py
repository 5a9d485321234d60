"""Deltas and edited models for Python: ``load_delta`` and ``from_pretrained``."""

from pathlib import Path
from typing import Any

from spin_hub.artifacts.open import open_delta
from spin_hub.core.delta import Delta
from spin_hub.errors import SpinHubError
from spin_hub.hub.resolve import resolve_delta, resolve_model


def load_delta(ref: str | Path) -> Delta:
    """Read a delta and check all of it.

    Args:
        ref: a delta file, a delta folder or an edited model, or the Hub id of one of them, ``org/name`` or
            ``org/name@revision``. An existing path wins over a Hub id.

    Raises:
        ArtefactNotFound, DeltaNotFound: there is none.
        CorruptFile, UnsupportedFormat: it cannot be read.
        AccessDenied, HubUnreachable: the Hub refuses it, or does not answer.
    """
    return open_delta(resolve_delta(str(ref)).path)[0]


def from_pretrained(ref: str | Path, base: str | Path | None = None, **options: Any) -> Any:
    """Load the base of a delta at the commit that the delta records, and set the delta's weights to zero.

    Args:
        ref: a delta, as for :func:`spin_hub.load_delta`.
        base: the base, a folder or Hub id, if the delta was made for a local folder, or another copy is wanted.
        options: for ``transformers.AutoModelForCausalLM.from_pretrained``, such as ``dtype`` or ``device_map``.

    Returns:
        What transformers returns: the model, or with ``output_loading_info=True`` a pair of the model and that.

    Raises:
        SpinHubError: the delta was made for a local folder, and none is given.
        ModelChanged: the model is not the delta's base: its weights are neither the originals nor zero.
        NotEditable: the model is loaded in a form in which a weight cannot be set, such as a quantised one.
        SpinHubError: the delta or the base is not there.
        OSError, ValueError: transformers cannot load the base with these options.
    """
    delta = load_delta(ref)
    name = delta.base.pinned if base is None else str(base)
    if name is None:
        raise SpinHubError(
            f"The delta {str(ref)!r} was made for a local folder, and does not say which.",
            hint="Name the base: spin_hub.from_pretrained(delta, base=FOLDER).",
        )
    source = resolve_model(name)
    # Both take seconds to import, and what is wrong above is said before that.
    from transformers import AutoModelForCausalLM

    from spin_hub.models.edit import apply_
    from spin_hub.models.load import NO_ADAPTER

    usual = {"local_files_only": True, "use_safetensors": True, "adapter_kwargs": NO_ADAPTER}
    loaded = AutoModelForCausalLM.from_pretrained(source.folder, **{**usual, **options})
    apply_(delta, loaded[0] if isinstance(loaded, tuple) else loaded)
    return loaded
