"""from_pretrained: a delta's base, loaded by transformers, with the delta applied."""

from pathlib import Path
from typing import Any

from spin_hub.core.delta import BaseRef
from spin_hub.errors import BaseUnknown
from spin_hub.hub.resolve import resolve_model
from spin_hub.workflows.load_delta import load_delta


def from_pretrained(ref: str | Path, base: str | Path | None = None, **options: Any) -> Any:
    """Loads the base of a delta at the commit that the delta records, and sets the delta's weights to zero.

    Args:
        ref: a delta, as for :func:`spin_hub.load_delta`.
        base: the base, a folder or Hub id, where the delta was made for a local folder or another copy is wanted.
        options: for ``transformers.AutoModelForCausalLM.from_pretrained``, such as ``dtype`` or ``device_map``.

    Returns:
        What transformers returns: the model, or with ``output_loading_info=True`` a pair of the model and that.

    Raises:
        BaseUnknown: the delta was made for a local folder, and none is given.
        ModelChanged: the model is not the delta's base: its weights are neither the originals nor zero.
        NotEditable: the model is loaded in a form in which a weight cannot be set, such as a quantised one.
        SpinHubError: the delta or the base is not there.
        OSError, ValueError: transformers cannot load the base with these options.
    """
    delta = load_delta(ref)
    source = resolve_model(str(base) if base is not None else _pinned(str(ref), delta.base))
    # Both take seconds to import, and what is wrong above is told before that.
    from transformers import AutoModelForCausalLM

    from spin_hub.models.edit import apply_

    usual = {"local_files_only": True, "use_safetensors": True}
    loaded = AutoModelForCausalLM.from_pretrained(source.folder, **{**usual, **options})
    apply_(delta, loaded[0] if isinstance(loaded, tuple) else loaded)
    return loaded


def _pinned(name: str, base: BaseRef) -> str:
    if base.pinned is None:
        raise BaseUnknown(delta=name)
    return base.pinned
