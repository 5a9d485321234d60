"""What an edit leaves behind: the folders of an edited model and of a delta, and a summary of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from spin_hub.artifacts.atomic import Placed, new_folder
from spin_hub.artifacts.base_model import Base
from spin_hub.artifacts.delta_file import NAME as DELTA
from spin_hub.artifacts.delta_file import write_delta
from spin_hub.artifacts.open import write_record
from spin_hub.artifacts.verification import Verification
from spin_hub.checkpoint.digests import sha256
from spin_hub.checkpoint.patch import copy_others, write_patched_copy, zeros
from spin_hub.core.delta import Delta
from spin_hub.core.files import README, SPIN, is_licence
from spin_hub.core.names import WHOLE, Part, Table, by_layer
from spin_hub.hub.commit import Pushed
from spin_hub.kinds import DELTA as DELTA_KIND
from spin_hub.kinds import KINDS, MODEL, kind_of
from spin_hub.model_cards.heat_map import HEAT_MAP, heat_map, title_of
from spin_hub.model_cards.licences import derived_name, terms_of
from spin_hub.model_cards.render import render_card
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.recipe import RULES, rule_plugin
from spin_hub.record import NAME as RECORD
from spin_hub.record import ModelRecord, Record, Result, ScoringRecord

BASE_README = "base-README.md"
NOTICE = "NOTICE"
_SMALL_OUTPUT: Final = 16 << 20
"""Room in which a delta with its record and card surely fits, in bytes."""

_UNKNOWN: Final = "0" * 64
"""Stands for the sha256 of a delta that is not written yet."""


@dataclass(frozen=True)
class Outcome:
    """The result of a verb.

    Attributes:
        output: the folder, or None if there was nothing to do.
        record: the content of its spin.json.
        warnings: what the user must not miss, a sentence each.
        pushed: the result of its push, or None if it was not pushed.
        fit: how well an applied delta fits, as plain JSON values.
        planned: of a push: the repo, who will see it, and the bytes to upload at most, or None if none is planned.
        verification: of what was pushed, or None if it was not looked at.
    """

    output: Path | None
    record: Record
    warnings: tuple[str, ...] = ()
    pushed: Pushed | None = None
    fit: Mapping[str, Any] | None = None
    planned: tuple[str, str, int] | None = None
    verification: Verification | None = None

    @property
    def place(self) -> str | None:
        """The place of the result: its page on the Hub or its folder, or None if nothing was written."""
        if self.pushed:
            return self.pushed.pull_request or self.pushed.url
        return None if self.output is None else str(self.output)

    @property
    def rule(self) -> str:
        """The rule in a line."""
        return rule_text(self.record.method)

    @property
    def table(self) -> Table:
        """The weights per layer and matrix."""
        return by_layer(self.record.result.counts)

    def to_json(self) -> dict[str, Any]:
        """The JSON object that the command line prints."""
        record = self.record
        return {
            "output": None if self.output is None else str(self.output),
            "kind": record.kind,
            "weights": record.result.weights,
            "tensors": record.result.tensors,
            "base": {"repo_id": record.model.repo_id, "commit": record.model.commit},
            **pushed_json(self.pushed),
            "evaluation": record.evaluation,
            "warnings": list(self.warnings),
            **({"adapter": record.adapter} if record.adapter else {}),
            **({"fit": self.fit} if self.fit is not None else {}),
            **({"verification": self.verification.to_json()} if self.verification else {}),
            **(
                {"plan": dict(zip(("repo_id", "visibility", "upload"), self.planned, strict=True))}
                if self.planned
                else {}
            ),
        }


def pushed_json(pushed: Pushed | None) -> dict[str, Any]:
    """Return a push's part of a command's JSON object; nulls if nothing was pushed."""
    return {
        "repo_id": pushed.repo_id if pushed else None,
        "commit": pushed.commit if pushed else None,
        "url": pushed.url if pushed else None,
        "pull_request": pushed.pull_request if pushed else None,
        "uploaded": pushed.sent if pushed else None,
    }


def rule_text(method: Mapping[str, Any]) -> str:
    """A delta's rule in a line: its name, its set expression, or both, and the part of the model in which it chose."""
    rule = ": ".join(str(method[key]) for key in ("rule", "expression") if key in method)
    if (plugin := rule_plugin(method)) and plugin.name not in RULES:
        rule += f", of the package {plugin.package} {plugin.version}, which is not installed here"
    part = Part.from_json(method)
    return rule if part == WHOLE else f"{rule} (in {part})"


def default_name(model: str, card: Mapping[str, Any], kind: str) -> str:
    """Return the default name of an output: a folder here, a repo on the Hub."""
    return derived_name(model, card, kind_of(kind).suffix)


def needed_bytes(base: Base, kind: str) -> int:
    """Return the room in bytes that an output surely fits into, but for an export's own files."""
    return _SMALL_OUTPUT + (base.copy_bytes if kind_of(kind).whole else 0)


def write_delta_folder(
    target: Placed, base: Base | None, delta: Delta, record: Record, reporter: Reporter = SILENT
) -> Outcome:
    """Write a delta with its record and card, whole or not at all; the base's licence files go along."""
    with step(reporter, "Writing the delta"), new_folder(target) as folder:
        record = _write_spin(folder, DELTA_KIND.name, delta, record)
        if base is not None:
            copy_others(base.index.folder, [name for name in base.contents.kept if is_licence(name)], folder)
        _write_texts(folder, record)
    return Outcome(target.path, record)


def write_model_folder(target: Placed, base: Base, delta: Delta, record: Record, reporter: Reporter) -> Outcome:
    """Write an edited model: the base's files with the delta's bytes changed, ``spin/`` and the card."""
    with new_folder(target) as folder:
        with reporter.task("Writing the edited model", base.copy_bytes, "bytes") as advance:
            write_patched_copy(base.index, delta.edits, zeros, folder, advance)
            copy_others(base.index.folder, set(base.contents.kept) - set(base.index.shards), folder)
        with step(reporter, "Writing the delta"):
            spin = folder / SPIN
            spin.mkdir()
            if base.contents.readme:
                copy_others(base.index.folder, [README], spin)
                (spin / README).rename(spin / BASE_README)
            record = _write_spin(spin, MODEL.name, delta, record)
            _write_texts(folder, record)
    return Outcome(target.path, record)


def write_export_folder(
    target: Placed, base: Base, delta: Delta, record: Record, write: Callable[[Path], str]
) -> Outcome:
    """Write an export, the delta with its record and plot, and the card; the base's licence files go along.

    Args:
        target: the folder.
        base: its licence files are copied.
        delta: the edit that is exported.
        record: of the edit, with what it says of the export.
        write: puts the export's own files into a folder and returns the name of its kind.
    """
    with new_folder(target) as folder:
        kind = write(folder)
        place = folder / kind_of(kind).folder
        place.mkdir(exist_ok=True)
        record = _write_spin(place, kind, delta, record)
        copy_others(base.index.folder, [name for name in base.contents.kept if is_licence(name)], folder)
        _write_texts(folder, record)
    return Outcome(target.path, record)


def describe(
    kind: str,
    delta: Delta,
    model: ModelRecord,
    scoring: ScoringRecord | None = None,
    candidates: int | None = None,
) -> Record:
    """Return the record of a delta that is still to be written; the arguments are the record's parts."""
    return restated(Record(kind, model, scoring, {}, Result(0, 0, {}, {}, _UNKNOWN, candidates)), kind, delta)


def restated(record: Record, kind: str, delta: Delta, delta_sha256: str = _UNKNOWN) -> Record:
    """Return a record with what it says of the output's kind and of the delta taken from these."""
    result = Result(
        weights=delta.weights,
        tensors=len(delta.edits),
        counts={name: len(edit.indices) for name, edit in delta.edits.items()},
        shapes={name: edit.shape for name, edit in delta.edits.items()},
        delta_sha256=delta_sha256,
        candidates=record.result.candidates,
    )
    found = KINDS.plugin(kind)
    plugin = {"package": found.package, "version": found.version} if found else None
    return replace(record, kind=kind, method=delta.method, result=result, plugin=plugin)


def _write_texts(folder: Path, record: Record) -> None:
    """Write the card, and the notice that the base's licence asks for if the base brings none."""
    (folder / README).write_text(render_card(record), "utf-8", newline="\n")
    terms = terms_of(record.model.card)
    if terms and terms.notice and not any(path.name.upper().startswith("NOTICE") for path in folder.iterdir()):
        (folder / NOTICE).write_text(terms.notice, "utf-8", newline="\n")


def _write_spin(folder: Path, kind: str, delta: Delta, record: Record) -> Record:
    write_delta(folder / DELTA, delta)
    record = restated(record, kind, delta, sha256(folder / DELTA))
    write_record(folder / RECORD, record)
    title = title_of(record.model.name, record.result.weights)
    heat_map(by_layer(record.result.counts), title, folder / HEAT_MAP)
    return record
