"""Scoring that was broken off: finished layers are kept beside the output, and the same command goes on from there.

Every layer is a ranking file of its own, so that it carries model, data, seed, precision and versions with it; a
layer that was made from anything else is refused. The folder goes away with the command that ends well.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from spin_hub.artifacts.atomic import new_file
from spin_hub.artifacts.ranking_file import RankingFile, read_ranking, write_ranking
from spin_hub.artifacts.system import IN_USE
from spin_hub.core.names import layer_and_matrix
from spin_hub.core.ranking import RankedTensor, Ranking
from spin_hub.errors import CorruptFile, PartialDiffers
from spin_hub.record import ModelRecord, ScoringRecord
from spin_hub.scoring.activation_cache import Journal

SUFFIX: Final = ".partial"


@dataclass(frozen=True)
class Partial:
    """The finished layers of one scoring.

    Attributes:
        folder: ``<output>.partial``.
        model, scoring, keep: what a layer must have been made from.
    """

    folder: Path
    model: ModelRecord
    scoring: ScoringRecord
    keep: float

    @classmethod
    def beside(cls, output: Path, model: ModelRecord, scoring: ScoringRecord, keep: float) -> "Partial":
        """The finished layers of a scoring whose result goes to an output."""
        return cls(output.with_name(output.name + SUFFIX), model, scoring, keep)

    def finished(self) -> dict[str, RankedTensor]:
        """The matrices of all layers that are finished; damaged files count as not finished.

        Raises:
            PartialDiffers: a layer was made from something else.
        """
        found: dict[str, RankedTensor] = {}
        for path in sorted(self.folder.glob("*.safetensors")) if self.folder.is_dir() else ():
            try:
                content = read_ranking(path)
            except CorruptFile:
                path.unlink(missing_ok=True)
                continue
            self._check(content)
            found |= content.ranking.tensors
        return found

    def add(self, tensors: dict[str, RankedTensor]) -> None:
        """Keeps the matrices of a finished layer."""
        layer, matrix = layer_and_matrix(next(iter(tensors)))
        name = f"layer-{layer:05}.safetensors" if layer is not None else f"{matrix}.safetensors"
        self.folder.mkdir(parents=True, exist_ok=True)
        with new_file(self.folder / name) as path:
            write_ranking(path, RankingFile(Ranking(tensors, self.keep), self.model, self.scoring))

    @property
    def journal(self) -> Journal:
        """What the layerwise engine keeps there for going on."""
        return Journal(self.folder / "passes")

    def remove(self) -> None:
        """Removes what is kept, once it is not needed any more."""
        if not self.folder.is_dir():
            return
        try:
            shutil.rmtree(self.folder)
        except OSError as error:
            # Another process with the same output adds or removes layers meanwhile; what it leaves is its own.
            if error.errno not in IN_USE:
                raise

    def _check(self, content: RankingFile) -> None:
        mine = _decisive(self.keep, self.model, self.scoring)
        theirs = _decisive(content.ranking.keep, content.model, content.scoring)
        changed = [name for name, _ in _differences(theirs, mine, "")]
        if changed:
            raise PartialDiffers(path=self.folder, what=", ".join(changed[:_SHOWN]))


_SHOWN: Final = 3


def _decisive(keep: float, model: ModelRecord, scoring: ScoringRecord) -> dict[str, Any]:
    """Everything that decides the outcome; the reason for a precision does not, once it is taken."""
    recorded = {key: value for key, value in scoring.to_json().items() if key != "precision"}
    return {"keep": keep, "model": asdict(model), "scoring": recorded}


def kept_ratio(output: Path) -> float | None:
    """The ratio up to which the finished layers beside an output keep weights; None where there are none."""
    for path in sorted(output.with_name(output.name + SUFFIX).glob("*.safetensors")):
        with suppress(CorruptFile):
            return read_ranking(path).ranking.keep
    return None


def _differences(before: Any, now: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The places in which two JSON values differ, by their names."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            yield from _differences(before.get(key), now.get(key), f"{name} {key}".strip())
    elif isinstance(before, list | tuple) and isinstance(now, list | tuple) and len(before) == len(now):
        for number, (one, other) in enumerate(zip(before, now, strict=True)):
            label = one["name"] if isinstance(one, dict) and "name" in one else number
            yield from _differences(one, other, f"{name} {label}")
    elif before != now:
        yield name, before
