"""Samples: rows drawn from a calibration source, repeatably, without those that cannot become examples."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from spin_hub.data.conversations import Unusable
from spin_hub.data.rows import Row
from spin_hub.data.sources import Resolve, Source, open_source
from spin_hub.data.spec import Spec
from spin_hub.errors import BadRow, TooFewRows
from spin_hub.recipe import DEFAULT_SAMPLES
from spin_hub.record import DatasetRef

_MOST_NAMED: Final = 5


@dataclass(frozen=True)
class Sampling:
    """The draw of rows.

    Attributes:
        samples: the number of rows; None for 128, or all of a built-in set.
        seed: of the shuffling.
        strict: True to refuse unusable rows instead of leaving them out.
        system: True to keep system messages, for which only a chat template has a place.
    """

    samples: int | None = None
    seed: int = 0
    strict: bool = False
    system: bool = False


@dataclass(frozen=True)
class Sample:
    """The rows that a recipe uses, in sampled order, and what may be said of where they come from.

    Attributes:
        source: a SPEC fit for publication: never a path, and with the commit of a data set.
        available: the number of rows that could have been sampled.
        dataset: the data set of the Hub, at its commit.
        note: what a reader must know of a named recipe, such as that it is approximate.
        left_out: reason -> the number of drawn rows that are unusable.
        notes: sentences on what the source holds and the rows do not.
    """

    name: str
    source: str
    licence: str
    rows: tuple[Row, ...]
    available: int
    dataset: DatasetRef | None = None
    note: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The sha256 of the sampled texts in order."""
        texts = [[row.prompt, row.response, *([row.system] if row.system else [])] for row in self.rows]
        return hashlib.sha256(json.dumps(texts, ensure_ascii=False).encode()).hexdigest()


def read_sample(name: str, spec: str, sampling: Sampling, resolve: Resolve) -> Sample:
    """Draw rows in the order of ``shuffle(seed)`` of ``datasets``, and leave out the unusable ones.

    Args:
        name: the set's name, for messages.
        spec: ``builtin:NAME``, a recipe, a file, or a data set of the Hub.
        sampling: the number of rows, and how they are drawn.
        resolve: finds the commit of a data set.

    Raises:
        SourceError: the source cannot be read, lacks columns, or has too few usable rows.
        BadRow: a drawn row is unusable, and the sampling is strict.
        AccessDenied, HubUnreachable: the data set cannot be had.
    """
    source = open_source(Spec.parse(name, spec), resolve)
    total = len(source.table)
    wanted = sampling.samples or (total if source.spec.kind == "builtin" else DEFAULT_SAMPLES)
    if total < wanted:
        raise TooFewRows(name=name, spec=spec, rows=total, samples=wanted)
    rows: list[Row] = []
    unusable: dict[int, str] = {}
    for place in np.random.default_rng(sampling.seed).permutation(total).tolist():
        try:
            rows.append(source.row(place))
        except Unusable as error:
            unusable[source.number(place)] = str(error)
        if len(rows) == wanted:
            break
    left_out = dict(sorted(Counter(unusable.values()).items(), key=lambda entry: (-entry[1], entry[0])))
    if unusable and sampling.strict:
        raise _bad_rows(name, unusable)
    if not rows:
        hint = "Give rows with a prompt and a response, or name other columns: #prompt=COLUMN,response=COLUMN."
        raise source.spec.refused(f"none of its {total} rows gives an example: {_counted(left_out)}", hint)
    if len(rows) < wanted:
        usable = f"{len(rows)} usable rows of {total}, but {wanted} examples are asked for"
        message = f"The calibration set {name!r} ({spec}) has {usable}; left out: {_counted(left_out)}."
        raise TooFewRows(message, name=name, spec=spec, rows=len(rows), samples=wanted)
    return Sample(
        name=name,
        source=source.published,
        licence=source.licence,
        rows=tuple(rows if sampling.system else [replace(row, system="") for row in rows]),
        available=total,
        dataset=source.ref,
        note=source.note,
        left_out=left_out,
        notes=tuple(f"The calibration set {name!r}: {clause}." for clause in _notes(source, rows, left_out, sampling)),
    )


def _notes(source: Source, rows: Sequence[Row], left_out: Mapping[str, int], sampling: Sampling) -> Iterator[str]:
    if left_out:
        count = sum(left_out.values())
        drawn = f"{count} of {len(rows) + count} drawn rows {_verb(count, 'is', 'are')} left out"
        yield f"{drawn} ({_counted(left_out)}), and the next ones taken; --strict-rows refuses them"
    yield from source.unread()
    systems, more = sum(bool(row.system) for row in rows), sum(row.more for row in rows)
    if systems and not sampling.system:
        have = f"{systems} of {len(rows)} rows {_verb(systems, 'has', 'have')}"
        yield f"{have} a system message, which is read with --chat-template alone"
    if more:
        have = f"{more} of {len(rows)} conversations {_verb(more, 'has', 'have')}"
        yield f"{have} more turns; the first answer counts, others are not read"


def _verb(count: int, one: str, several: str) -> str:
    return one if count == 1 else several


def _counted(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in left_out.items())


def _bad_rows(name: str, unusable: Mapping[int, str]) -> BadRow:
    rows = sorted(unusable.items())
    named = [f"row {number} (its {why})" for number, why in rows[:_MOST_NAMED]]
    named += [f"{len(rows) - _MOST_NAMED} more"] if len(rows) > _MOST_NAMED else []
    several = f"{len(rows)} rows of the calibration set {name!r} give no example: {', '.join(named)}."
    hint = "Mend what is wrong, or leave out --strict-rows to take the next rows. Rows are counted from 0."
    return BadRow(several if len(rows) > 1 else None, hint=hint, name=name, row=rows[0][0], why=f"its {rows[0][1]}")
