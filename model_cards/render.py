"""A record becomes a card; what a person wrote around the generated part stays."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
from huggingface_hub import ModelCard, ModelCardData
from jinja2.sandbox import SandboxedEnvironment

from spin_hub.core.algebra import COMBINED
from spin_hub.core.expression import PAPER
from spin_hub.core.files import SPIN
from spin_hub.core.names import by_layer
from spin_hub.errors import CardFailed, CardRefused
from spin_hub.model_cards.command import base_argument, delta_argument, edit_command
from spin_hub.model_cards.front_matter import card_of
from spin_hub.model_cards.licences import terms_of
from spin_hub.model_cards.metadata import OURS, metadata_of
from spin_hub.record import Record, needs_warning

BEGIN: Final = "<!-- spin-hub: generated from here; `spin-hub card` writes this part again -->"
HEAT_MAP: Final = "heat-map.png"
_TEMPLATES: Final = {"model": "model.md", "delta": "delta.md", "peft": "adapter.md", "lora": "adapter.md"}
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
    template = _environment().get_template(_TEMPLATES[record.kind])
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
    environment.filters["figure"] = _figure
    environment.filters["needs_warning"] = needs_warning
    return environment


def _variables(record: Record, repo_id: str | None) -> dict[str, Any]:
    terms = terms_of(record.model.card)
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
        "licence_note": terms.note if terms else "",
        "plot": HEAT_MAP if record.kind == "delta" else f"{SPIN}/{HEAT_MAP}",
        "rule": _RULES.get(str(record.method.get("rule", "")), "a rule that this version does not know"),
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
    if method.get("rule") == "random":
        return "weights drawn at random, as a control"
    if method.get("rule") == "published" or expression == PAPER:
        return "weights that its examples of fairness and of privacy share and general text does not need"
    return f"the most important weights of its calibration sets, combined as `{expression}`"


def _cell(value: Any) -> str:
    """Text that is safe in a cell of a Markdown table."""
    text = f"{value:g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


_RULES: Final = {
    "": "a set expression in place of the paper's",
    "paper": "the rule as the paper defines it",
    "published": "the rule as the paper's released code computes it",
    COMBINED: "two other deltas, combined",
    "random": "a random control: per matrix as many weights as the paper's rule would select",
}
