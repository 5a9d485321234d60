"""The machine-readable part of a card."""

from typing import Any, Final

from huggingface_hub import ModelCardData

from spin_hub.record import Record

TAGS: Final = ("spin-hub", "spin", "fairness", "privacy", "arxiv:2410.16672")
OURS: Final = frozenset({"base_model", "base_model_relation", "library_name", "tags", "datasets", "spin_hub"})
"""The keys that are written again from the record; a person's other keys stay."""

_METHOD: Final = ("rule", "expression", "p", "q", "ratios", "part", "layers")


def metadata_of(record: Record) -> ModelCardData:
    """Card metadata as the Hub reads them, with the edit's figures under ``spin_hub``."""
    kind = record.facts
    datasets = [entry.dataset_id for entry in record.scoring.sets if entry.dataset_id] if record.scoring else []
    fields: dict[str, Any] = {
        **record.model.card,
        "library_name": kind.library,
        "datasets": list(dict.fromkeys(datasets)) or None,
        "tags": [*TAGS, *kind.tags],
        "spin_hub": machine_readable(record),
    }
    if record.model.repo_id:
        fields["base_model"] = record.model.repo_id
        fields["base_model_relation"] = kind.relation
    return ModelCardData(**fields)


def sets_of(record: Record) -> list[dict[str, Any]]:
    """The calibration sets of a record, with their licences, as plain values."""
    sets = record.scoring.sets if record.scoring else ()
    return [
        {"name": entry.name, "source": entry.source, "licence": entry.licence, "examples": entry.used} for entry in sets
    ]


def machine_readable(record: Record) -> dict[str, Any]:
    """The rule, its ratios and sets, and the counts, as plain values."""
    return {
        "kind": record.kind,
        **{key: record.method[key] for key in _METHOD if key in record.method},
        "sets": sets_of(record),
        "weights": record.result.weights,
        "tensors": record.result.tensors,
        "base_commit": record.model.commit,
        "delta_sha256": record.result.delta_sha256,
    }
