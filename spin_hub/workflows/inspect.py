"""inspect: what a delta, an edited model or a ranking holds, as tables."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spin_hub.artifacts.delta_file import base_to_json
from spin_hub.artifacts.open import base_ref, find_delta, open_delta
from spin_hub.artifacts.ranking_file import NAME as RANKING
from spin_hub.artifacts.ranking_file import RankingFile, read_ranking
from spin_hub.artifacts.write import rule_text
from spin_hub.checkpoint.header import read_header
from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.core.names import Table, by_layer
from spin_hub.hub.resolve import resolve_delta
from spin_hub.kinds import DELTA
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.record import Record
from spin_hub.units import human_bytes


@dataclass(frozen=True)
class Inspection:
    """The content of an artefact: facts, and a table of counts per layer and matrix.

    Attributes:
        path: its file.
        kind: ``ranking``, or that of an output, such as ``delta``, ``model`` or ``lora``.
        facts: label -> text.
        counts: weights per tensor.
        data: the same and more as plain JSON values.
        plots: the files that were drawn.
    """

    path: Path
    kind: str
    facts: Mapping[str, str]
    counts: Mapping[str, int]
    data: Mapping[str, Any]
    plots: tuple[Path, ...] = ()

    @property
    def table(self) -> Table:
        """The counts per layer and matrix."""
        return by_layer(self.counts)


def inspect(artefact: str | Path, png: str | Path | None = None, reporter: Reporter = SILENT) -> Inspection:
    """Read a delta file or folder, an edited model, or a ranking.

    Args:
        artefact: a path, or the Hub id of a delta or an edited model.
        png: a folder for plots, or None to draw none.
        reporter: called with progress.

    Raises:
        ArtefactNotFound, DeltaNotFound: there is nothing of the kind.
        CorruptFile, UnsupportedFormat: it cannot be read.
    """
    found = _found(str(artefact), reporter)
    if png is None:
        return found
    from spin_hub.workflows.plots import draw

    with step(reporter, "Drawing"):
        return replace(found, plots=draw(found, Path(png)))


def _found(artefact: str, reporter: Reporter) -> Inspection:
    with step(reporter, "Fetching the delta"):
        path = resolve_delta(artefact).path
    ranking = path / RANKING if path.is_dir() else path
    if ranking.is_file() and _is_ranking(ranking):
        with step(reporter, "Reading the ranking"):
            return _inspect_ranking(ranking)
    with step(reporter, "Reading the delta"):
        return _inspect_delta(find_delta(path), *open_delta(path))


def _is_ranking(path: Path) -> bool:
    return '"kind":"ranking"' in read_header(path).metadata.get("spin_hub", "")


def _inspect_delta(file: Path, delta: Delta, record: Record | None) -> Inspection:
    counts = {name: len(edit.indices) for name, edit in delta.edits.items()}
    kind = record.kind if record else DELTA.name
    method = delta.method
    facts = {
        "base": _base(delta.base, record.model.name if record else None),
        "rule": rule_text(method),
        **({"ratios": _ratios(method["ratios"])} if isinstance(method.get("ratios"), Mapping) else {}),
        "weights": f"{delta.weights:,} set to zero, in {len(delta.edits)} tensors" + _of(record),
        "file": f"{file.name}, {human_bytes(file.stat().st_size)}",
    }
    if isinstance(method.get("chosen_on"), Mapping):
        chosen = method["chosen_on"]
        facts["chosen on"] = f"{chosen.get('repo_id') or chosen.get('name')}, then applied to this base"
    if record and record.scoring:
        facts["calibration"] = ", ".join(f"{entry.name} ({entry.used})" for entry in record.scoring.sets)
    tensors = {name: _tensor(edit) for name, edit in delta.edits.items()}
    rows, columns = (sum(tensor[name] for tensor in tensors.values()) for name in ("rows", "columns"))
    facts["hits"] = f"{rows:,} rows and {columns:,} columns of these tensors"
    data = {"kind": kind, "base": base_to_json(delta.base), "method": dict(method), "weights": delta.weights,
            "tensors": tensors}  # fmt: skip
    return Inspection(file, kind, facts, counts, data)


def _tensor(edit: TensorEdit) -> dict[str, Any]:
    """One tensor's shape and type, and how many weights, rows and columns the edit touches."""
    rows, columns = np.divmod(edit.indices, edit.shape[-1] if edit.shape else 1)
    return {
        "shape": list(edit.shape),
        "dtype": edit.dtype,
        "weights": len(edit.indices),
        "rows": len(np.unique(rows)),
        "columns": len(np.unique(columns)),
    }


def _inspect_ranking(file: Path) -> Inspection:
    content = read_ranking(file)
    ranking = content.ranking
    counts = {name: len(next(iter(tensor.tops.values())).indices) for name, tensor in ranking.tensors.items()}
    recipe = content.scoring.recipe
    facts = {
        "model": _base(base_ref(content.model), content.model.name),
        "sets": ", ".join(f"{entry.name} ({entry.used} of {entry.source})" for entry in content.scoring.sets),
        "kept": f"{sum(counts.values()):,} weights per set in {len(counts)} matrices (ratio {ranking.keep:g})",
        "target": recipe.target,
        "precision": f"{recipe.dtype} model, {recipe.accumulate} sums, engine {recipe.engine} on {recipe.device}",
        "file": f"{file.name}, {human_bytes(file.stat().st_size)}",
    }
    overlaps = _overlaps(content)
    # Both sets of a pair are of one size, so the share of either tells the share of their union.
    ratios = {pair: share / (2 - share) for pair, share in overlaps.items()}
    facts |= {f"overlap {pair}": f"{overlaps[pair]:.1%}, coupling ratio {ratios[pair]:.3f}" for pair in overlaps}
    facts |= {f"importance {name}": text for name, text in _falling(content).items()}
    data = {"kind": "ranking", "base": base_to_json(base_ref(content.model)), "keep": ranking.keep,
            "sets": list(ranking.sets), "scoring": content.scoring.to_json(),
            "overlaps": overlaps, "coupling_ratios": ratios,
            "tensors": {name: {"shape": list(ranking.tensors[name].shape), "dtype": ranking.tensors[name].dtype,
                               "kept": counts[name]} for name in counts}}  # fmt: skip
    return Inspection(file, "ranking", facts, counts, data)


def _falling(content: RankingFile) -> dict[str, str]:
    """Importance by rank: at some ratios, the median over the matrices."""
    from spin_hub.model_cards.curves import importance_by_rank

    return {
        name: ", ".join(f"{value:.2g} at {share:.0e}" for share, value in zip(shares[::24], values[::24], strict=True))
        for name, (shares, values) in importance_by_rank(content.ranking).items()
    }


def _overlaps(content: RankingFile) -> dict[str, float]:
    """The share of kept weights that two sets have in common, over all matrices."""
    shares = {}
    names = content.ranking.sets
    for number, first in enumerate(names):
        for second in names[number + 1 :]:
            common = total = 0
            for tensor in content.ranking.tensors.values():
                mine, other = tensor.tops[first].indices, tensor.tops[second].indices
                common += len(np.intersect1d(mine, other, assume_unique=True))
                total += len(mine)
            shares[f"{first} & {second}"] = common / max(total, 1)
    return shares


def _base(base: BaseRef, name: str | None) -> str:
    return f"{base.repo_id}@{base.commit[:12]}" if base.repo_id and base.commit else f"{name or 'unknown'} (local)"


def _ratios(ratios: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {ratio:g}" for name, ratio in ratios.items())


def _of(record: Record | None) -> str:
    return f" of {record.result.candidates}" if record and record.result.candidates else ""
