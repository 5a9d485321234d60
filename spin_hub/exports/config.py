"""The two files of an adapter: the config, written by PEFT's own classes, and the tensors."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from spin_hub.artifacts.container import write_tensors
from spin_hub.errors import MissingDependency, PeftTooOld
from spin_hub.exports.adapter import Adapter, PeftType
from spin_hub.kinds import ADAPTER_FILES

CONFIG, WEIGHTS = ADAPTER_FILES

_CLASSES: Final[Mapping[PeftType, str]] = {
    "SUPERTUNING": "SupertuningConfig",
    "SHIRA": "ShiraConfig",
    "LORA": "LoraConfig",
}
SINCE: Final[Mapping[PeftType, str]] = {"SUPERTUNING": "0.21", "SHIRA": "0.17"}
"""The version of PEFT since which a type is there; LoRA always was."""


def config_class(peft_type: PeftType) -> Any:
    """PEFT's class for the config of a type of adapter.

    Raises:
        MissingDependency: PEFT is not installed.
        PeftTooOld: this version of it lacks the type.
    """
    if find_spec("peft") is None:
        raise MissingDependency(package="peft", command='pip install "spin-hub[peft]"')
    import peft

    found = getattr(peft, _CLASSES[peft_type], None)
    if found is None:
        otherwise = ", or use --peft-type shira" if peft_type == "SUPERTUNING" else ""
        raise PeftTooOld(version=_version(), type=peft_type, needed=SINCE.get(peft_type, ""), otherwise=otherwise)
    return found


def write_config(folder: Path, adapter: Adapter, base: str, revision: str | None) -> None:
    """Writes the config of an adapter; equal adapters give equal files.

    Args:
        folder: that of the adapter.
        adapter: what the config is of.
        base: what ``base_model_name_or_path`` says.
        revision: the base's commit.

    Raises:
        MissingDependency, PeftTooOld: as :func:`config_class`.
        OSError: the file cannot be written.
    """
    config = config_class(adapter.peft_type)(
        base_model_name_or_path=base,
        revision=revision,
        task_type="CAUSAL_LM",
        inference_mode=True,
        target_modules=list(adapter.targets),
        **adapter.settings,
    )
    # PEFT makes a set of the names, whose order in the file would differ from process to process.
    config.target_modules = sorted(adapter.targets)
    config.save_pretrained(str(folder))


def write_weights(folder: Path, adapter: Adapter) -> None:
    """Write the tensors of an adapter; equal adapters give equal files.

    Raises:
        OSError: the file cannot be written.
    """
    write_tensors(folder / WEIGHTS, adapter.tensors(), {"format": "pt"})


def _version() -> str:
    try:
        return version("peft")
    except PackageNotFoundError:
        return "of an unknown version"
