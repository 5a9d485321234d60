"""A study: many edits of one model tried out in memory, and kept as they are measured, so that it can be resumed."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec

from spin_hub.artifacts.atomic import new_file
from spin_hub.artifacts.ranking_file import RankingFile
from spin_hub.core.ranking import Ranking
from spin_hub.core.selection import Selection
from spin_hub.data.examples import fingerprint
from spin_hub.errors import CorruptFile, SpinHubError
from spin_hub.evidence import BASE
from spin_hub.metrics.likelihood import Texts
from spin_hub.metrics.reading import Trial, tokens_to_read, try_out
from spin_hub.progress import Reporter, step
from spin_hub.recipe import SelectionRecipe
from spin_hub.scoring.selecting import choose
from spin_hub.versions import versions

NAME: Final = "study.json"
FORMAT: Final = 2
_TOGETHER: Final = 6
"""Edits measured in one go over the texts, for which the base is read once; an interrupted study loses as many."""


@dataclass(frozen=True)
class Row:
    """The result of a candidate.

    Attributes:
        method: the selection recipe, as in a delta's ``method``.
        part: of the model; ``all`` or a description.
        weights, tensors: the numbers of selected ones.
        digest: of the selection; equal ones are measured once.
        trial: the measurements, or None if there was nothing to measure.
        why: the reason why nothing was measured: ``nothing`` was selected, or the same weights ``as above``.
    """

    method: Mapping[str, Any]
    part: str
    weights: int
    tensors: int
    digest: str
    trial: Trial | None = None
    why: str | None = None


@dataclass(frozen=True)
class Study:
    """All rows so far, in the order of the candidates.

    Attributes:
        made_from: digests and versions that must be equal for a study to go on: ranking, texts, precision, packages.
        base: the measurements of the model as it is.
    """

    made_from: Mapping[str, str]
    base: Trial | None = None
    rows: tuple[Row, ...] = ()
    format: int = FORMAT

    @property
    def measured(self) -> tuple[int, ...]:
        """The indices of the measured rows."""
        return tuple(place for place, row in enumerate(self.rows) if row.trial)

    @property
    def trials(self) -> list[Trial]:
        """The measurements of the measured rows."""
        return [row.trial for row in self.rows if row.trial]

    @property
    def known_base(self) -> Trial:
        """The measurements of the model as it is, of a study that has begun."""
        assert self.base is not None
        return self.base


@dataclass(frozen=True, eq=False)
class Subject:
    """The subject of a study.

    Attributes:
        model: loaded whole, in eval mode.
        content: its ranking.
        texts: to read; not those that report on the picked edit.
        precision: in which the model runs.
    """

    model: Any
    content: RankingFile
    texts: Texts
    precision: str

    def try_out(self, states: Mapping[str, Selection], reporter: Reporter, title: str) -> dict[str, Trial]:
        """Measure some states of the model, and the base beside them."""
        general, pairs = self.texts.general, self.texts.pairs
        with reporter.task(title, tokens_to_read(general, pairs, len(states)), "tokens") as advance:
            return try_out(self.model, general, pairs, states, advance)

    @cached_property
    def made_from(self) -> dict[str, str]:
        """See :class:`Study`."""
        known = {
            "model": self.content.model.files,
            "scoring": self.content.scoring.to_json(),
            "keep": self.content.ranking.keep,
        }
        found = {name: _sha256(value) for name, value in known.items()}
        found["precision"] = f"{self.precision} on {self.model.device.type}"
        return found | {"texts": fingerprint(self.texts.all), **versions()}


def states_of(candidates: int) -> int:
    """Count the states in which a study reads its texts: candidates, the base with each group, and a last control."""
    return candidates + -(-candidates // _TOGETHER) + 2


def run(subject: Subject, candidates: Sequence[SelectionRecipe], path: Path | None, reporter: Reporter) -> Study:
    """Try all candidates out except those that the study at the path already has.

    Args:
        subject: model, ranking and texts.
        candidates: in the order of the rows.
        path: of the study's file, written again after every few edits; None keeps nothing.
        reporter: called with progress.

    Raises:
        SpinHubError: the study at the path was made from something else.
        CorruptFile: it cannot be read.
        RatioBeyondRanking: a candidate asks for more weights than the ranking keeps.
    """
    study = _read(path, subject.made_from) if path and path.is_file() else Study(subject.made_from)
    known = {_key(row.method): row for row in study.rows}
    keys = [_key(candidate.to_json()) for candidate in candidates]
    left = [candidate for key, candidate in zip(keys, candidates, strict=True) if key not in known]
    if known and left:
        reporter.note(f"{len(candidates) - len(left)} of {len(candidates)} edits were tried before; going on.")
    with step(reporter, "Choosing the weights of every edit"):
        rows, states = _rows(left, subject.content.ranking, {row.digest for row in study.rows if row.trial})
    known |= {_key(row.method): row for row in rows if row.why}
    worth = [row for row in rows if not row.why]
    texts, base = subject.texts, study.base
    groups = [worth[first : first + _TOGETHER] for first in range(0, len(worth), _TOGETHER)] or ([] if base else [[]])
    tokens = sum(tokens_to_read(texts.general, texts.pairs, len(group)) for group in groups)
    with reporter.task("Trying edits out", tokens, "tokens") as advance:
        for group in groups:
            tried = {row.digest: states[row.digest] for row in group}
            found = try_out(subject.model, texts.general, texts.pairs, tried, advance)
            base = found.pop(BASE)
            known |= {_key(row.method): replace(row, trial=found[row.digest]) for row in group}
            study = replace(study, base=base, rows=tuple(known[key] for key in keys if key in known))
            reporter.status(f"{len(study.rows)} of {len(candidates)} edits")
            if path:
                # What an earlier run tried besides is kept too.
                _write(path, replace(study, rows=tuple(known.values())))
    return replace(study, rows=tuple(known[key] for key in keys))


def earlier(path: Path, study: Study) -> list[Row]:
    """Return the rows that the file of a study has beside its own: those of earlier grids on the same ranking."""
    keys = {_key(row.method) for row in study.rows}
    return [row for row in _read(path, study.made_from).rows if _key(row.method) not in keys]


def _rows(
    candidates: Iterable[SelectionRecipe], ranking: Ranking, seen: set[str]
) -> tuple[list[Row], dict[str, Selection]]:
    """Return a row for every candidate, and by digest the selections to measure."""
    rows: list[Row] = []
    states: dict[str, Selection] = {}
    for candidate in candidates:
        selection = choose(ranking, candidate)
        digest = _digest(selection)
        why = None if selection.weights else "nothing"
        if digest in seen:
            why = "as above"
        rows.append(
            Row(candidate.to_json(), str(candidate.part), selection.weights, selection.tensors, digest, why=why)
        )
        if why is None:
            seen.add(digest)
            states[digest] = selection
    return rows, states


def _key(method: Mapping[str, Any]) -> str:
    return json.dumps(method, sort_keys=True)


def _digest(selection: Selection) -> str:
    digest = hashlib.sha256()
    for name, indices in selection:
        digest.update(f"{name}\0{len(indices)}\0".encode() + indices.astype("<i8").tobytes())
    return digest.hexdigest()


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _write(path: Path, study: Study) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as file:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(study), indent=1))


def _read(path: Path, made_from: Mapping[str, str]) -> Study:
    try:
        study = msgspec.json.decode(path.read_bytes(), type=Study)
    except msgspec.MsgspecError as error:
        raise CorruptFile(path=path, why=f"it is not a study ({error})") from error
    keys = sorted(made_from.keys() | study.made_from.keys())
    changed = [key for key in keys if made_from.get(key) != study.made_from.get(key)]
    if changed or study.format != FORMAT:
        raise SpinHubError(
            f"{path} is a study of something else: {', '.join(changed) or 'the format'} changed since.",
            hint="Run the command as it was to go on with it, or begin anew with --overwrite.",
        )
    return study
