"""An adapter folder: made from a delta, measured where that is cheap, and written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import Base
from spin_hub.artifacts.container import write_tensors
from spin_hub.artifacts.open import base_ref
from spin_hub.artifacts.write import Outcome, Provenance, write_adapter_folder
from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.core.dtypes import NAMES, itemsize
from spin_hub.errors import RankTooLarge, SpinHubError, UsageError
from spin_hub.exports.adapter import Adapter, PeftType
from spin_hub.exports.config import SINCE, WEIGHTS, config_class, write_config
from spin_hub.exports.lora import LARGEST, lora
from spin_hub.exports.modules import Touched, every_layer, short_names, touched_modules
from spin_hub.exports.sparse import shira, supertuning
from spin_hub.exports.unmerged import is_cheap, measure_unmerged
from spin_hub.models.load import check_causal, load_skeleton
from spin_hub.progress import Reporter, step
from spin_hub.record import ModelRecord
from spin_hub.units import human_bytes

Form = Literal["peft", "lora"]
SparseType = Literal["supertuning", "shira"]


@dataclass(frozen=True, kw_only=True)
class AdapterOptions:
    """Which adapter is written.

    Attributes:
        form: ``peft``, exact merged and unmerged, or ``lora``, exact when merged.
        peft_type: of the form ``peft``; None means ``supertuning``, and ``shira`` is for PEFT older than 0.21.
        all_layers: whether a LoRA has the untouched layers too, as zeros.
        yes: write a LoRA of any rank.
        measure: whether an unmerged LoRA is compared with the edit; None does it where the base's weights are here
            and fit into memory.
        trust_remote_code: whether the base's own code may run.

    Raises:
        UsageError: options that contradict each other.
    """

    form: Form
    peft_type: SparseType | None = None
    all_layers: bool = False
    yes: bool = False
    measure: bool | None = None
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if self.form == "lora" and self.peft_type is not None:
            raise UsageError(message="--peft-type is for --as peft; a LoRA has a type of its own.")
        if self.form == "peft" and (self.all_layers or self.measure):
            option = "--all-layers" if self.all_layers else "--measure"
            raise UsageError(message=f"{option} is for --as lora; the form peft is exact, in the touched layers alone.")

    @property
    def type(self) -> PeftType:
        """PEFT's name of the adapter's kind."""
        if self.form == "lora":
            return "LORA"
        return "SHIRA" if self.peft_type == "shira" else "SUPERTUNING"


@dataclass(frozen=True)
class Made:
    """An adapter that is ready to be written, and the modules that it touches."""

    options: AdapterOptions
    base: Base
    modules: Sequence[Touched]
    adapter: Adapter

    @property
    def warnings(self) -> tuple[str, ...]:
        """What keeps it from being exact in the type in which the base is loaded where nothing is said."""
        said = self.base.index.config.get("dtype") or self.base.index.config.get("torch_dtype")
        other = sorted({name for module in self.modules if (name := NAMES[module.edit.dtype]) != said})
        if not isinstance(said, str) or not other:
            return ()
        return (f"The base's config says {said}, but touched weights are {other[0]}: load it with dtype={other[0]}.",)


def check_adapter(options: AdapterOptions, base: Base, names: Sequence[str]) -> None:
    """Refuses, before anything is scored, an adapter that could not be written for some of these matrices.

    Args:
        options: which adapter.
        base: the model.
        names: of the checkpoint's tensors.

    Raises:
        MissingDependency, PeftTooOld: PEFT is not installed, or lacks the type.
        AdapterRefused: a matrix is not the weight of one plain linear map.
    """
    edits = {}
    for name in names:
        span = base.index.tensors[name].span
        one = np.ones((1, itemsize(span.dtype)), np.uint8)
        edits[name] = TensorEdit(span.shape, span.dtype, np.zeros(1, np.int64), one)
    made_from(options, Delta(edits, BaseRef(), {}), base)


def make_adapter(options: AdapterOptions, delta: Delta, base: Base, reporter: Reporter) -> Made:
    """Makes the adapter that sets a delta's weights to zero; its rank and size are told.

    Raises:
        MissingDependency, PeftTooOld: PEFT is not installed, or lacks the type.
        AdapterRefused: the delta touches what no adapter can hold.
        RankTooLarge: the LoRA's rank, without ``yes``.
    """
    with step(reporter, "Making the adapter"):
        made = made_from(options, delta, base)
    adapter = made.adapter
    reporter.note(_announced(adapter))
    if adapter.rank is not None and options.form == "lora" and adapter.rank > LARGEST and not options.yes:
        raise RankTooLarge(rank=adapter.rank, size=human_bytes(adapter.bytes), limit=LARGEST)
    return made


def made_from(options: AdapterOptions, delta: Delta, base: Base) -> Made:
    """Makes the adapter that sets a delta's weights to zero.

    Raises:
        MissingDependency, PeftTooOld: PEFT is not installed, or lacks the type.
        AdapterRefused: the delta touches what no adapter can hold.
        SpinHubError: the base is no causal language model, or cannot be loaded.
    """
    config_class(options.type)
    check_causal(base.source.folder, base.index.config)
    skeleton = load_skeleton(base.index, options.trust_remote_code)
    modules = touched_modules(delta, skeleton)
    if options.form == "peft":
        adapter = shira(modules) if options.type == "SHIRA" else supertuning(modules)
    elif options.all_layers:
        everywhere = every_layer(modules, skeleton)
        adapter = lora(everywhere, short_names(everywhere, skeleton))
    else:
        adapter = lora(modules, [module.name for module in modules])
    return Made(options, base, modules, adapter)


def write_adapter(made: Made, target: Placed, delta: Delta, provenance: Provenance, reporter: Reporter) -> Outcome:
    """Writes an adapter with the delta, its record and the card, whole or not at all; a LoRA is measured before.

    Args:
        made: the adapter.
        target: the folder.
        delta: what the adapter stands for.
        provenance: what the record says of it; the adapter is added.
        reporter: told of progress.
    """
    unmerged = _unmerged(made, reporter) if made.options.form == "lora" else None
    model = provenance.model
    told = about(made, unmerged)

    def write(folder: Path) -> Form:
        write_own_config(folder, made, model)
        write_own_tensors(folder, made)
        return made.options.form

    held = Delta(delta.edits, base_ref(model), delta.method)
    with step(reporter, "Writing the adapter"):
        return write_adapter_folder(target, made.base, held, replace(provenance, adapter=told), write)


def write_own_config(folder: Path, made: Made, model: ModelRecord) -> None:
    """Writes the config that PEFT loads; equal adapters of one base give equal files.

    Raises:
        MissingDependency, PeftTooOld: PEFT is not installed, or lacks the type.
    """
    write_config(folder, made.adapter, model.repo_id or model.name, model.commit)


def write_own_tensors(folder: Path, made: Made) -> None:
    """Writes the tensors that PEFT loads, likewise."""
    write_tensors(folder / WEIGHTS, made.adapter.tensors(), {"format": "pt"})


def drafted(options: AdapterOptions) -> dict[str, Any]:
    """What a record says of an adapter before it is made, for the Hub to validate the card that it gives."""
    return {
        "type": options.type,
        "rank": 0,
        "bytes": 0,
        "modules": 0,
        "all_layers": options.all_layers,
        "dtypes": ["float32"],
        "peft_since": SINCE.get(options.type),
        "unmerged": None,
    }


def about(made: Made, unmerged: dict[str, Any] | None) -> dict[str, Any]:
    """What the record says of an adapter, as plain JSON values."""
    return drafted(made.options) | {
        "rank": made.adapter.rank,
        "bytes": made.adapter.bytes,
        "modules": len(made.adapter.layouts) // 2,
        "dtypes": sorted({NAMES[module.edit.dtype] for module in made.modules}),
        "unmerged": unmerged,
    }


def _announced(adapter: Adapter) -> str:
    rank = f" of rank {adapter.rank}" if adapter.rank is not None else ""
    modules = f"{len(adapter.layouts) // 2} modules"
    return f"The adapter ({adapter.peft_type}{rank}, {modules}) takes {human_bytes(adapter.bytes)}."


def _unmerged(made: Made, reporter: Reporter) -> dict[str, Any] | None:
    options, base = made.options, made.base
    if options.measure is False:
        return None
    if options.measure is None and not is_cheap(base):
        reporter.note("The unmerged LoRA was not measured: the base's weights are not here, or too large (--measure).")
        return None
    try:
        return measure_unmerged(base, made.modules, options.trust_remote_code, reporter)
    except SpinHubError as error:
        # Nobody asked for the figure, and the adapter is right without it.
        if options.measure:
            raise
        reporter.note(f"The unmerged LoRA was not measured. {error.message}")
        return None
