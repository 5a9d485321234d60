"""The record of an edit: its recipe with everything pinned, its result, and the environment in which it was made."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import msgspec

from spin_hub.core.delta import BaseRef, checked_method
from spin_hub.core.files import stays_inside
from spin_hub.errors import UnsupportedFormat
from spin_hub.kinds import GROUP, KINDS, Kind, kind_of
from spin_hub.plugins import Plugin
from spin_hub.recipe import ScoringRecipe
from spin_hub.version import __version__

NAME: Final = "spin.json"
FORMAT: Final = 1
_UNFREE: Final = frozenset({"nc", "noncommercial", "research", "disputed", "other", "unknown", "none"})


@dataclass(frozen=True)
class ModelRecord:
    """The base model: its name, its Hub id and commit if it has any, and its files.

    Attributes:
        files: sha256 of every file that an edited copy keeps, and of the README, by name.
        left_out: sha256 of the files that may hold unedited twins of the weights, by name.
        card: what the base's own card says of licence, language and task.
        model_type: of its config.
        card_notes: what its card says and could not be read, a sentence each.

    Raises:
        ValueError: the name of a file leads out of the model's folder.
    """

    name: str
    repo_id: str | None = None
    commit: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    model_type: str | None = None
    card_notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = next((name for name in self.files if not stays_inside(name)), None)
        if wrong is not None:
            raise ValueError(f"{wrong[:80]!r} is no file of a model")

    @property
    def pinned(self) -> str | None:
        """The Hub id with the commit, if that is known, or None for a local model."""
        return BaseRef(self.repo_id, self.commit).pinned

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; the notes only if there are any."""
        entry = asdict(self)
        if not self.card_notes:
            del entry["card_notes"]
        return entry


@dataclass(frozen=True)
class DatasetRef:
    """A data set of the Hub at one commit, under the licence that its card names, or ``unknown``."""

    dataset_id: str
    commit: str
    licence: str


def needs_warning(licence: str) -> bool:
    """Return True if the terms of data under this licence are non-commercial, disputed or not known."""
    words = set(re.findall(r"[a-z]+", licence.lower().replace("non-commercial", "noncommercial")))
    return not words or bool(words & _UNFREE)


@dataclass(frozen=True)
class SetRecord:
    """One calibration set as it was used; the examples themselves are never part of it.

    Attributes:
        source: the set's public name, never a path: a SPEC with its commit, or a file's name.
        rows: how many the source has; used: how many were sampled.
        tokens, counted: of the used examples; tokens that the model read, and those that counted.
        rows_sha256: of the sampled texts in order; examples_sha256: of their tokens and labels.
        commit, dataset_id: of a data set of the Hub.
        note: a caveat of a named recipe.
        left_out: reason -> the number of drawn rows that cannot become examples; recorded if there are any.
    """

    name: str
    source: str
    licence: str
    rows: int
    used: int
    tokens: int
    counted: int
    rows_sha256: str
    examples_sha256: str
    commit: str | None = None
    dataset_id: str | None = None
    note: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: value for name, value in asdict(self).items() if name != "left_out" or value}


@dataclass(frozen=True)
class ScoringRecord:
    """The scoring of the weights.

    Attributes:
        recipe: without local paths.
        sets: as they were used.
        environment: versions, by name.
        precision: why the recipe's precision was taken, such as ``the checkpoint's precision``.
        thinking: ``off`` if the chat template was asked for no thought, ``closed`` if the thought that it opens was
            closed; recorded if either.
        score: of another score than the default its ``sentence``, and the ``package`` and ``version`` that bring it.
    """

    recipe: ScoringRecipe
    sets: tuple[SetRecord, ...]
    environment: Mapping[str, str]
    precision: str = ""
    score: Mapping[str, str] | None = None
    thinking: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "recipe": self.recipe.to_json(),
            "sets": [entry.to_json() for entry in self.sets],
            "environment": dict(self.environment),
            "precision": self.precision,
            **({"score": dict(self.score)} if self.score else {}),
            **({"thinking": self.thinking} if self.thinking else {}),
        }


@dataclass(frozen=True)
class Result:
    """Weights and tensors in total, the count and shape of every touched tensor, and the delta's sha256.

    Attributes:
        candidates: how many matrices took part, touched or not, or None if the delta came without its record.
    """

    weights: int
    tensors: int
    counts: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    delta_sha256: str
    candidates: int | None = None


@dataclass(frozen=True)
class Record:
    """The content of ``spin.json``.

    Attributes:
        applied: of a delta that was applied to another model than it was made for: its origin, how well it fitted, and
            that model's descent from the delta's base.
        search: the edits that were tried out to choose p and q, and why this one was taken; None if they were given.
        adapter: of an exported edit: its type, rank and size, and its error beside the base, unmerged.
        plugin: package and version of a kind that an installed package brings.
    """

    kind: str
    model: ModelRecord
    scoring: ScoringRecord | None
    method: Mapping[str, Any]
    result: Result
    evaluation: Mapping[str, Any] | None = None
    applied: Mapping[str, Any] | None = None
    search: Mapping[str, Any] | None = None
    adapter: Mapping[str, Any] | None = None
    plugin: Mapping[str, str] | None = None

    @property
    def facts(self) -> Kind:
        """The entry of the record's kind.

        Raises:
            PluginMissing: it is that of a package that is not installed.
        """
        known = Plugin(GROUP, self.kind, self.plugin["package"], self.plugin["version"]) if self.plugin else None
        return kind_of(self.kind, [known] if known else [])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, with the format version."""
        return {
            "format": FORMAT,
            "tool": f"spin-hub {__version__}",
            "kind": self.kind,
            "recipe": {
                "model": self.model.to_json(),
                "scoring": self.scoring.to_json() if self.scoring else None,
                "method": dict(self.method),
            },
            "result": asdict(self.result),
            "evaluation": self.evaluation,
            "applied": self.applied,
            "search": self.search,
            **({"adapter": self.adapter} if self.adapter else {}),
            **({"plugin": self.plugin} if self.plugin else {}),
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Record":
        """Read the result of :meth:`to_json`.

        Raises:
            UnsupportedFormat: another format version.
            PluginMissing: the kind is that of a package that is not installed.
            KeyError, TypeError, ValueError, UsageError: the entry has another form.
        """
        if type(entry["format"]) is not int or entry["format"] != FORMAT:
            raise UnsupportedFormat(path=NAME, what=f"format {str(entry['format'])[:40]!r}")
        parts = {"kind": entry["kind"], "result": entry["result"], **entry["recipe"]}
        known = {key: entry[key] for key in ("evaluation", "applied", "search")}
        optional = {key: entry.get(key) for key in ("adapter", "plugin")}
        record = msgspec.convert(parts | known | optional, cls)
        _check_kind(record)
        checked_method(record.method)
        return record


def _check_kind(record: Record) -> None:
    plugin = record.plugin
    if plugin is None:
        if record.kind not in KINDS:
            raise msgspec.ValidationError(f"the kind {record.kind[:40]!r} is not known")
        return
    texts = (record.kind, plugin.get("package"), plugin.get("version"))
    if not all(text and len(text) <= 100 and text.isprintable() for text in texts):
        raise msgspec.ValidationError("the package of its kind has no name and version")
    _ = record.facts
