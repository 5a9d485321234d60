"""A record becomes a card; what a person wrote around the generated part stays."""

import re
import shlex
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
from huggingface_hub import ModelCard, ModelCardData
from jinja2.sandbox import SandboxedEnvironment

from spin_hub.core.algebra import COMBINED, COMBINED_SENTENCE, how_of
from spin_hub.core.names import by_layer
from spin_hub.core.rules import DEFAULT_RULE
from spin_hub.core.selection import PAPER
from spin_hub.errors import CardFailed, CardRefused
from spin_hub.evidence import reports
from spin_hub.model_cards.command import base_argument, delta_argument, edit_command
from spin_hub.model_cards.front_matter import card_of
from spin_hub.model_cards.licences import terms_of
from spin_hub.model_cards.metadata import OURS, metadata_of
from spin_hub.recipe import RULES, rule_sentence
from spin_hub.record import Record, needs_warning

BEGIN: Final = "<!-- spin-hub: generated from here; `spin-hub card` writes this part again -->"
HEAT_MAP: Final = "heat-map.png"
END: Final = "<!-- spin-hub: generated to here; text outside stays -->"


def render_card(record: Record, existing: str | None = None, repo_id: str | None = None) -> str:
    """The README of an edited model or a delta.

    Args:
        record: everything that the card says.
        existing: a card that is there already; a person's text and metadata in it are kept, and stand below the
            generated part where the card had none.
        repo_id: where the folder will be found on the Hub; None writes placeholders into the commands.

    Raises:
        CardFailed: the record lacks what the template shows.
        CardRefused: the existing card's metadata are no YAML.
    """
    generated = f"{BEGIN}\n\n{_body(record, repo_id)}\n\n{END}"
    data = metadata_of(record)
    if existing is None:
        return _whole(data, generated + "\n")
    card = parsed(existing)
    before, mark, rest = card.text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        before, after = "", f"\n\n{card.text.strip()}\n" if card.text.strip() else ""
    theirs = {key: value for key, value in card.data.to_dict().items() if key not in OURS}
    merged = ModelCardData(ignore_metadata_errors=True, **{**data.to_dict(), **theirs})
    return _whole(merged, before.lstrip("\n") + generated + after)


def _whole(data: ModelCardData, text: str) -> str:
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}")).rstrip("\n") + "\n"


def parsed(card: str) -> ModelCard:
    """A card that is there already.

    Raises:
        CardRefused: its metadata are no YAML.
    """
    try:
        return card_of(card)
    except ValueError as error:
        why = (str(error).strip().splitlines() or ["it does not parse"])[0].rstrip(".:")
        raise CardRefused(why=f"the README's front matter is no valid YAML ({why})") from error


def _body(record: Record, repo_id: str | None) -> str:
    known = record.facts.template
    # A package brings the text of its template, the library's own are files.
    template = _environment().from_string(known) if "\n" in known else _environment().get_template(known)
    try:
        text = template.render(**_variables(record, repo_id))
    except (jinja2.TemplateError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        # What was measured, and how a delta was applied, may have been changed by a person.
        raise CardFailed(why=str(error)) from error
    return re.sub(r"\n{3,}", "\n\n", text).strip()


@cache
def _environment() -> jinja2.Environment:
    folder = files("spin_hub.model_cards") / "templates"
    loader = jinja2.FunctionLoader(lambda name: (folder / name).read_text("utf-8"))
    environment = SandboxedEnvironment(
        loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    environment.filters["cell"] = _cell
    environment.filters["prose"] = _prose
    environment.filters["figure"] = _figure
    environment.filters["how"] = how_of
    environment.filters["needs_warning"] = needs_warning
    return environment


def _variables(record: Record, repo_id: str | None) -> dict[str, Any]:
    terms = terms_of(record.model.card)
    rule = RULES.get(str(record.method.get("rule")))
    return {
        "here": repo_id,
        "record": record,
        "method": record.method,
        "result": record.result,
        "base": record.model,
        "base_argument": base_argument(record),
        "delta_argument": delta_argument(record),
        "command": edit_command(record),
        "table": by_layer(record.result.counts),
        "chosen": _chosen(record),
        "evidence": record.evaluation,
        "reports": list(reports(record.evaluation)) if record.evaluation else [],
        "licence_note": terms.note if terms else "",
        "kind": record.facts,
        "again": shlex.join(record.facts.arguments(record.adapter)),
        "plot": f"{record.facts.folder}{HEAT_MAP}",
        "rule": COMBINED_SENTENCE if record.method.get("rule") == COMBINED else rule_sentence(record.method),
        "rule_card": rule.card if rule else "",
    }


def _figure(value: float | None) -> str:
    """A measured number, to four significant digits; one example alone has no interval."""
    return "-" if value is None else f"{value:.4g}"


def _chosen(record: Record) -> str:
    """In a clause, which weights these are."""
    method: Mapping[str, Any] = record.method
    if record.applied:
        return f"those that were chosen on {_cell(record.applied['base']['repo_id'] or record.applied['base']['name'])}"
    expression = method.get("expression")
    if method.get("rule") == COMBINED:
        return f"the weights of two other deltas, a and b, combined as `{expression}`"
    if "rule" in method and method["rule"] in RULES:
        return RULES[method["rule"]].chosen
    if expression == PAPER:
        return RULES[DEFAULT_RULE].chosen
    return f"the most important weights of its calibration sets, combined as `{expression}`"


def _cell(value: Any) -> str:
    """Text that is safe in a cell of a Markdown table."""
    text = repr(value) if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    return _prose(text).replace("\n", " ")


def _prose(text: str) -> str:
    """Text of a report, in which Markdown finds no table and no element."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
