"""The adapters of PEFT: one edit as tensors beside linear maps, checked, written and proved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spin_hub.artifacts.base_model import Base, open_headers
from spin_hub.artifacts.verification import Difference
from spin_hub.checkpoint.store import FileStore
from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.core.dtypes import NAMES, itemsize
from spin_hub.errors import AdapterRefused
from spin_hub.exports.adapter import SINCE, WEIGHTS, Adapter, PeftType, config_class, write_config, write_weights
from spin_hub.exports.base import Export, ExportOptions, Made, settings_of
from spin_hub.exports.modules import Touched, touched_modules
from spin_hub.exports.proof import adapter_rows
from spin_hub.models.load import check_causal, load_skeleton
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.record import ModelRecord, Record
from spin_hub.units import human_bytes


@dataclass(frozen=True)
class AdapterMade(Made):
    """An adapter that is ready to be written.

    Attributes:
        options: those that it was made with.
        modules: that it touches.
        adapter: its tensors and settings.
        draft: what the record says of an adapter that is not made yet.
    """

    options: ExportOptions
    modules: Sequence[Touched]
    adapter: Adapter
    draft: Mapping[str, Any]

    @property
    def bytes(self) -> int:
        """The size of its tensors."""
        return self.adapter.bytes

    @property
    def warnings(self) -> tuple[str, ...]:
        """That the base's config names another type than its touched weights have, in which the adapter is exact."""
        said = self.base.index.config.get("dtype") or self.base.index.config.get("torch_dtype")
        other = sorted({name for module in self.modules if (name := NAMES[module.edit.dtype]) != said})
        if not isinstance(said, str) or not other:
            return ()
        return (f"The base's config says {said}, but touched weights are {other[0]}: load it with dtype={other[0]}.",)

    def about(self, reporter: Reporter) -> dict[str, Any]:
        """Return type, rank and size."""
        return {
            **self.draft,
            "rank": self.adapter.rank,
            "bytes": self.adapter.bytes,
            "modules": len(self.adapter.layouts) // 2,
            "dtypes": sorted({NAMES[module.edit.dtype] for module in self.modules}),
        }

    def fill(self, folder: Path, model: ModelRecord) -> None:
        """Write config and tensors; equal adapters of one base give equal files."""
        write_config(folder, self.adapter, model.repo_id or model.name, model.commit)
        write_weights(folder, self.adapter)


class AdapterExport(Export):
    """An adapter of PEFT.

    Attributes:
        exact: how it is loaded to be the edit exactly, as the end of a sentence.
        made: the class of what :meth:`make` returns.
    """

    exact: ClassVar[str]
    made: ClassVar[type[AdapterMade]] = AdapterMade

    def type(self, options: ExportOptions) -> PeftType:
        """Return PEFT's name of the adapter's type."""
        raise NotImplementedError

    def adapter(self, options: ExportOptions, modules: Sequence[Touched], skeleton: Any) -> Adapter:
        """Return the adapter of some modules.

        Args:
            options: of the export.
            modules: with their edits.
            skeleton: the model, without weights.

        Raises:
            AdapterRefused: a module is of a kind that the type does not know.
        """
        raise NotImplementedError

    def ready(self, options: ExportOptions) -> None:
        """Refuse to go on without a version of PEFT that has the type.

        Raises:
            MissingDependency, SpinHubError: PEFT is not installed, or lacks the type.
        """
        config_class(self.type(options))

    def check(self, options: ExportOptions, base: Base, names: Sequence[str], reporter: Reporter) -> None:
        """Refuse, before anything is scored, an adapter that could not be written for some of these matrices.

        Raises:
            MissingDependency, SpinHubError: PEFT is not installed, or lacks the type.
            AdapterRefused: a matrix is not the weight of one plain linear map.
        """
        edits = {}
        for name in names:
            span = base.index.tensors[name].span
            one = np.ones((1, itemsize(span.dtype)), np.uint8)
            edits[name] = TensorEdit(span.shape, span.dtype, np.zeros(1, np.int64), one)
        with step(reporter, "Checking the adapter"):
            made_from(self, options, Delta(edits, BaseRef(), {}), base)

    def draft(self, options: ExportOptions) -> dict[str, Any]:
        """Return what the record says of an adapter that is not made yet."""
        return {
            "type": self.type(options),
            "rank": 0,
            "bytes": 0,
            "modules": 0,
            "all_layers": options.all_layers,
            "dtypes": ["float32"],
            "peft_since": SINCE.get(self.type(options)),
            "unmerged": None,
        }

    def make(self, options: ExportOptions, delta: Delta, base: Base, reporter: Reporter) -> AdapterMade:
        """Make the adapter that sets a delta's weights to zero; its rank and size are noted.

        Raises:
            MissingDependency, SpinHubError: PEFT is not installed, or lacks the type.
            AdapterRefused: the delta touches what no adapter can hold.
        """
        with step(reporter, "Making the adapter"):
            made = made_from(self, options, delta, base)
        adapter = made.adapter
        rank = f" of rank {adapter.rank}" if adapter.rank is not None else ""
        modules = f"{len(adapter.layouts) // 2} modules"
        reporter.note(f"The adapter ({adapter.peft_type}{rank}, {modules}) takes {human_bytes(adapter.bytes)}.")
        return made

    def verify(self, record: Record, delta: Delta, store: FileStore, base: str) -> list[Difference]:
        """Compare config and tensors with those that are made again from the delta.

        Raises:
            MissingDependency, SpinHubError: PEFT is not installed, or lacks the type.
            SpinHubError: the base cannot be had, or not be built without its own code.
        """
        try:
            made = made_from(self, settings_of(record), delta, open_headers(base))
        except AdapterRefused as error:
            return [Difference("adapter", WEIGHTS, "an adapter of the delta", error.message)]
        return adapter_rows(made.adapter, AdapterMade.about(made, SILENT), record, store)

    def shown(self, record: Record) -> list[tuple[str, str]]:
        """Return type, rank, size, and where it is exact."""
        about = record.adapter or {}
        model = f"{record.model.repo_id or record.model.name} {record.model.commit or ''}".rstrip()
        weights, tensors = record.result.weights, record.result.tensors
        return [
            ("type", about["type"] + (f" (peft {about['peft_since']} and newer)" if about["peft_since"] else "")),
            *([] if about["rank"] is None else [("rank", str(about["rank"]))]),
            (
                "weights",
                f"{weights:,} made zero, in {tensors} of {about['modules']} modules",
            ),
            ("size", f"{about['bytes'] / 1024:,.1f} KiB"),
            ("exact", f"{self.exact}, on {model}"),
        ]

    def usage(self, record: Record, output: str) -> str:
        """Return how it is loaded."""
        if record.model.repo_id:
            return f"Load it with: AutoPeftModelForCausalLM.from_pretrained({output!r})"
        return f"Load it with: PeftModel.from_pretrained(base, {output!r})"


def made_from(export: AdapterExport, options: ExportOptions, delta: Delta, base: Base) -> AdapterMade:
    """Make the adapter that sets a delta's weights to zero.

    Raises:
        MissingDependency, SpinHubError: PEFT is not installed, or lacks the type.
        AdapterRefused: the delta touches what no adapter can hold.
        SpinHubError: the base is not a causal language model, or cannot be loaded.
    """
    config_class(export.type(options))
    check_causal(base.source.folder, base.index.config)
    skeleton = load_skeleton(base.index, options.trust_remote_code)
    modules = touched_modules(delta, skeleton)
    adapter = export.adapter(options, modules, skeleton)
    return export.made(export.facts, base, options, modules, adapter, export.draft(options))
