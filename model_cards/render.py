"""A record becomes a card: metadata for the Hub and a generated part; what the user wrote around it stays."""

from typing import Any, Final

import jinja2

from spin_hub.errors import CardFailed, CardRefused
from spin_hub.model_cards.body import body_of
from spin_hub.model_cards.front_matter import Readme, read_readme, write_readme
from spin_hub.record import Record

TAGS: Final = ("spin-hub", "spin", "fairness", "privacy", "arxiv:2410.16672")
OURS: Final = frozenset({"base_model", "base_model_relation", "library_name", "tags", "datasets", "spin_hub"})
"""The keys that are written again from the record; all others are the user's, and stay."""
BEGIN: Final = "<!-- spin-hub: generated from here; `spin-hub card` writes this part again -->"
END: Final = "<!-- spin-hub: generated to here; text outside stays -->"

# The order in which huggingface_hub writes the keys that it knows.
_ORDER: Final = ("base_model", "datasets", "language", "library_name", "license", "license_name", "license_link",
                 "metrics", "model_name", "pipeline_tag", "tags")  # fmt: skip
_METHOD: Final = ("rule", "expression", "p", "q", "ratios", "part", "layers")


def render_card(record: Record, existing: str | None = None, repo_id: str | None = None) -> str:
    """Return the README of an edited model, a delta or an adapter.

    Args:
        record: everything that the card says.
        existing: a card that is there already; the user's text and metadata in it are kept, below the generated part
            if the card has none.
        repo_id: of the folder on the Hub; None writes placeholders into the commands.

    Raises:
        CardFailed: the record lacks what the template shows.
        CardRefused: the existing card's metadata cannot be read.
    """
    try:
        generated, data = f"{BEGIN}\n\n{body_of(record, repo_id)}\n\n{END}", metadata_of(record)
    except (jinja2.TemplateError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        # What was measured, and how a delta was applied, may have been changed by hand.
        raise CardFailed(why=str(error)) from error
    if existing is None:
        return write_readme(data, generated + "\n")
    card = parsed(existing)
    before, mark, rest = card.text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        before, after = "", f"\n\n{card.text.strip()}\n" if card.text.strip() else ""
    theirs = {key: value for key, value in card.data.items() if key not in OURS and value is not None}
    merged = {**data, **theirs}
    ordered = {key: merged[key] for key in (*_ORDER, *merged) if key in merged}
    return write_readme(ordered, before.lstrip("\n") + generated + after)


def parsed(card: str, name: str = "README.md") -> Readme:
    """Read a card of which nothing may be lost but what is written again.

    Args:
        card: its text.
        name: of the file, for an error.

    Raises:
        CardRefused: something of its metadata cannot be read.
    """
    readme = read_readme(card)
    lost = {key: why for key, why in readme.lost.items() if key not in OURS}
    if lost:
        key, why = next(iter(lost.items()))
        raise CardRefused(
            f"The metadata of {name} cannot be read{f' at {key[:40]!r}' if key else ''}: {why}.",
            hint="Mend them between the two lines --- at its beginning, and run the command again.",
            why=why,
        )
    return readme


def joined(
    ours: tuple[str | None, Record], theirs: tuple[str | None, Record | None], repo_id: str | None = None
) -> str | None:
    """Return a card with what users wrote into two cards of one edit, here and in the repo, or None without either.

    Metadata are the user's if the base of a card's own record does not say the same. A text in the repo that is missing
    here comes below the one from here: nobody can tell whether it was added there or taken away here.

    Args:
        ours: the card here, and its record.
        theirs: the card in the repo, and its record.
        repo_id: of the repo, for an error.

    Raises:
        CardRefused: something of their metadata cannot be read.
    """
    if ours[0] is None and theirs[0] is None:
        return None
    metadata: dict[str, Any] = {}
    cards, texts = [], []
    for (card, record), name in ((theirs, f"README.md in {repo_id or 'the repo'}"), (ours, "README.md")):
        readme = parsed(card, name) if card else Readme({}, "")
        given = record.model.card if record else {}
        metadata |= {key: value for key, value in readme.data.items() if value not in (None, given.get(key))}
        before, mark, rest = readme.text.partition(BEGIN)
        texts.append((before + rest.partition(END)[2] if mark else readme.text).strip())
        cards.append(readme.text)
    there, here = texts
    if here in there and (ours[0] is None or here != there):
        return write_readme(metadata, cards[0])
    return write_readme(metadata, cards[1] + ("" if there in here else f"\n\n{there}\n"))


def metadata_of(record: Record) -> dict[str, Any]:
    """Return card metadata as the Hub reads them, with the edit's figures under ``spin_hub``."""
    kind = record.facts
    datasets = [entry.dataset_id for entry in record.scoring.sets if entry.dataset_id] if record.scoring else []
    fields = {
        **record.model.card,
        "library_name": kind.library,
        "datasets": list(dict.fromkeys(datasets)),
        "tags": [*TAGS, *kind.tags],
        "spin_hub": machine_readable(record),
    }
    if base := _base_model(record):
        fields |= {"base_model": base, "base_model_relation": kind.relation}
    return {key: fields[key] for key in (*_ORDER, *fields) if fields.get(key)}


def _base_model(record: Record) -> str | list[str] | None:
    if record.model.repo_id or not (record.applied and record.facts.whole):
        return record.model.repo_id
    # A local fine-tune has no id of its own: its edited copy descends from what its card names, or the delta's base.
    parents = [link["model"] for link in record.applied["lineage"].get("links", ()) if link["of"] is None]
    named: str | None = record.applied["base"]["repo_id"]
    return (parents if len(parents) > 1 else parents[0]) if parents else named


def sets_of(record: Record) -> list[dict[str, Any]]:
    """Return the calibration sets of a record, with their licences, as plain values."""
    sets = record.scoring.sets if record.scoring else ()
    return [
        {"name": entry.name, "source": entry.source, "licence": entry.licence, "examples": entry.used} for entry in sets
    ]


def machine_readable(record: Record) -> dict[str, Any]:
    """Return the rule, its ratios and sets, and the counts, as plain values."""
    return {
        "kind": record.kind,
        **{key: record.method[key] for key in _METHOD if key in record.method},
        "sets": sets_of(record),
        "weights": record.result.weights,
        "tensors": record.result.tensors,
        "base_commit": record.model.commit,
        "delta_sha256": record.result.delta_sha256,
    }
