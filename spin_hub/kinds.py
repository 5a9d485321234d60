"""The kinds of an output: what each is called, what its card and its metadata say, and where its delta lies.

One entry says each fact of a kind, and names the object that writes and verifies it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from spin_hub.errors import PluginFailed, UsageError
from spin_hub.plugins import Plugin, Table, registered

GROUP: Final = "spin_hub.exports"
LARGEST_RANK: Final = 64
"""The rank up to which servers usually take adapters; a LoRA of a higher one needs ``--yes``."""
ADAPTER_FILES: Final = ("adapter_config.json", "adapter_model.safetensors")
"""The names under which PEFT looks for an adapter."""


def _none(_: Mapping[str, Any]) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of output.

    Attributes:
        name: the value of ``--as`` and of the record's ``kind``.
        noun: the kind with its article, such as ``an edited model``.
        help: the kind in a few words, for ``--help``.
        suffix: of the default name of a folder or repo.
        template: the card's: the name of a file in ``spin_hub/model_cards/templates``, or the text of a Jinja template.
        library: ``library_name`` on the Hub.
        relation: ``base_model_relation`` on the Hub.
        tags: on the Hub, beside those of every card.
        folder: of the delta, its record and the plot in an output: ``spin/``, or ``""``.
        whole: it holds every weight of the model, edited.
        adapter: it is loaded beside the base.
        files: its own, beside card, delta, record and plot; those of a whole model are the base's.
        knows: the options of ``edit`` and ``export`` that concern it.
        options: returns those that make the same output again from what the record says in ``adapter``.
        export: where its :class:`spin_hub.exports.base.Export` is, as ``module:object``, since adapters import torch;
            "" for the kind of a package, whose entry point is the export.
    """

    name: str
    noun: str
    help: str
    suffix: str
    template: str
    library: str
    relation: str = "adapter"
    tags: tuple[str, ...] = ()
    folder: str = "spin/"
    whole: bool = False
    adapter: bool = False
    files: tuple[str, ...] = ()
    knows: frozenset[str] = frozenset()
    options: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _none
    export: str = ""

    def arguments(self, adapter: Mapping[str, Any] | None) -> list[str]:
        """Return the words of a command line that ask for this kind again.

        Args:
            adapter: what the record says of it.
        """
        words = ["--as", self.name]
        for name, value in self.options(adapter or {}).items():
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        return words


def _sparse_options(adapter: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"peft_type": "shira"} if adapter.get("type") == "SHIRA" else {}


def _lora_options(adapter: Mapping[str, Any]) -> Mapping[str, Any]:
    options = {"all_layers": True} if adapter.get("all_layers") is True else {}
    rank = adapter.get("rank")
    return options | ({"yes": True} if isinstance(rank, int) and rank > LARGEST_RANK else {})


MODEL: Final = Kind(
    name="model",
    noun="an edited model",
    help="an edited checkpoint",
    suffix="-spin",
    template="model.md",
    library="transformers",
    relation="finetune",
    whole=True,
    export="spin_hub.exports.native:MODEL_ENTRY",
)
DELTA: Final = Kind(
    name="delta",
    noun="a delta",
    help="its delta alone",
    suffix="-spin-delta",
    template="delta.md",
    library="spin-hub",
    folder="",
    export="spin_hub.exports.native:DELTA_ENTRY",
)
PEFT: Final = Kind(
    name="peft",
    noun="a PEFT adapter",
    help="an adapter, exact and tiny",
    suffix="-peft",
    template="adapter.md",
    library="peft",
    adapter=True,
    files=ADAPTER_FILES,
    knows=frozenset({"peft_type"}),
    options=_sparse_options,
    export="spin_hub.exports.peft_sparse:ENTRY",
)
LORA: Final = Kind(
    name="lora",
    noun="a LoRA",
    help="an adapter for servers, exact when merged",
    suffix="-lora",
    template="adapter.md",
    library="peft",
    tags=("lora",),
    adapter=True,
    files=ADAPTER_FILES,
    knows=frozenset({"all_layers", "measure", "yes"}),
    options=_lora_options,
    export="spin_hub.exports.lora:ENTRY",
)

OWN: Final[Mapping[str, Kind]] = {kind.name: kind for kind in (MODEL, DELTA, PEFT, LORA)}
"""The library's own kinds by name."""

# A package's entry is its whole export, whose facts are its kind.
KINDS: Final[Table[Any]] = registered(GROUP, OWN)


def kind_of(name: str, plugins: Iterable[Plugin] = ()) -> Kind:
    """Return a kind by its name.

    Args:
        name: of the kind.
        plugins: those that a record names.

    Raises:
        PluginMissing: it is that of a package that is not installed.
        PluginFailed: its package cannot be loaded.
    """
    found = KINDS.needed(name, plugins)
    kind: Kind = found if isinstance(found, Kind) else found.facts
    return kind


def asked_kind(name: str, among: Iterable[str] = KINDS) -> Kind:
    """Return the kind that ``--as`` names.

    Raises:
        UsageError: there is none of this name.
        PluginFailed: its package cannot be loaded.
    """
    if name not in (known := tuple(among)):
        raise UsageError(message=f"--as must be one of {', '.join(known)}, not {name!r}.")
    return kind_of(name)


def exported() -> tuple[str, ...]:
    """Return the names of the kinds that a delta is exported as."""
    return tuple(name for name in KINDS if name not in (MODEL.name, DELTA.name))


def helped(names: Iterable[str]) -> str:
    """Return kinds with their help, such as ``model: an edited checkpoint``, for the help of an option.

    A kind whose package cannot be loaded is named alone; it fails when it is asked for.
    """
    texts = []
    for name in names:
        try:
            texts.append(f"{name}: {kind_of(name).help}")
        except PluginFailed:
            texts.append(name)
    return "; ".join(texts) + "."


def kinds() -> tuple[Kind, ...]:
    """Return all kinds, those of installed packages last."""
    return tuple(kind_of(name) for name in KINDS)
