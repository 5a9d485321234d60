"""The text of a card: a record's facts through its kind's template, with the command that makes the edit again."""

import re
import shlex
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from spin_hub.core.algebra import COMBINED, COMBINED_SENTENCE, how_of
from spin_hub.core.names import by_layer
from spin_hub.core.rules import DEFAULT_RULE, RULES
from spin_hub.core.selection import PAPER
from spin_hub.evidence import reports, unmeasured
from spin_hub.kinds import MODEL
from spin_hub.model_cards.heat_map import HEAT_MAP
from spin_hub.model_cards.licences import terms_of
from spin_hub.recipe import DEFAULT_SCORE, DEFAULT_SCORE_SENTENCE, rule_sentence, said_of
from spin_hub.record import Record, needs_warning


def body_of(record: Record, repo_id: str | None) -> str:
    """Return the text that the template of a record's kind makes of it."""
    known = record.facts.template
    # A package brings the text of its template, the library's own are files.
    template = _environment().from_string(known) if "\n" in known else _environment().get_template(known)
    text = template.render(**_variables(record, repo_id))
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
    environment.filters["code"] = _inline
    environment.filters["figure"] = _figure
    environment.filters["how"] = how_of
    environment.filters["needs_warning"] = needs_warning
    return environment


def _variables(record: Record, repo_id: str | None) -> dict[str, Any]:
    terms = terms_of(record.model.card)
    score = (record.scoring.score if record.scoring else None) or {}
    return {
        "here": repo_id,
        "record": record,
        "method": record.method,
        "result": record.result,
        "base": record.model,
        "base_argument": _base_argument(record),
        "delta_argument": _delta_argument(record),
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
        "rule_card": said_of(record.method, "card"),
        "packages": _packages(record),
        "importance": score.get("sentence", DEFAULT_SCORE_SENTENCE),
        "unmeasured": [*unmeasured(record.evaluation), "other languages"],
    }


def _figure(value: float | None) -> str:
    """Format a measured number with four significant digits; one example alone has no interval."""
    return "-" if value is None else f"{value:.4g}"


def _chosen(record: Record) -> str:
    method: Mapping[str, Any] = record.method
    if record.applied:
        return f"those that were chosen on {_cell(record.applied['base']['repo_id'] or record.applied['base']['name'])}"
    expression = method.get("expression")
    if method.get("rule") == COMBINED:
        return f"the weights of two other deltas, a and b, combined as `{expression}`"
    if chosen := said_of(method, "chosen"):
        return _cell(chosen)
    if expression == PAPER:
        return RULES[DEFAULT_RULE].chosen
    return f"the most important weights of its calibration sets, combined as `{expression}`"


def _cell(value: Any) -> str:
    """Escape text for a cell of a Markdown table."""
    text = repr(value) if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    return _prose(text).replace("\n", " ")


def _prose(text: str) -> str:
    """Escape text in which Markdown might find a table or an element."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def edit_command(record: Record) -> str | None:
    """Return ``spin-hub edit ...`` with every option that decides the outcome, or None without the scoring recipe."""
    if record.scoring is None:
        return None
    recipe = record.scoring.recipe
    words = ["spin-hub", "edit", _base_argument(record), *_selection(record.method)]
    for name, source in recipe.sets.items():
        option = [f"--{name}", source] if name in ("fairness", "privacy", "general") else ["--set", f"{name}={source}"]
        words += [] if option[1] == f"builtin:{name}" else option
    words += ["--samples", str(record.scoring.sets[0].used)] if recipe.samples and record.scoring.sets else []
    words += ["--seed", str(recipe.seed), "--target", recipe.target, "--dtype", recipe.dtype]
    rule = RULES.get(str(record.method.get("rule")))
    for name, usual in (("tokenization", "exact"), ("accumulate", "float32"), ("score", DEFAULT_SCORE)):
        value = getattr(recipe, name)
        words += [] if value == usual or (rule and name in rule.implies) else [f"--{name}", value]
    words += ["--chat-template"] if recipe.chat_template else []
    words += ["--template-date", recipe.template_date] if recipe.template_date else []
    words += ["--max-length", str(recipe.max_length)] if recipe.max_length else []
    words += ["--strict-rows"] if recipe.strict_rows else []
    words += ["--trust-remote-code"] if recipe.trust_remote_code else []
    words += [] if record.kind == MODEL.name else record.facts.arguments(record.adapter)
    return _inline(shlex.join(words))


def _packages(record: Record) -> list[str]:
    # Each package that the command needs, with the option for which it is needed.
    score = (record.scoring.score if record.scoring else None) or {}
    named = [
        ("rule", record.method.get("rule"), record.method.get("plugin")),
        ("score", record.scoring.recipe.score if record.scoring else None, score if "package" in score else None),
        ("as", record.kind, record.plugin),
    ]
    return [
        f"`--{option} {_inline(str(name))}` is from the package "
        + " ".join(_cell(plugin.get(part)) for part in ("package", "version"))
        for option, name, plugin in named
        if plugin
    ]


def _selection(method: Mapping[str, Any]) -> list[str]:
    words = ["--rule", str(method["rule"])] if method.get("rule", DEFAULT_RULE) != DEFAULT_RULE else []
    ratios: Mapping[str, float] = method.get("ratios", {})
    if "p" in method and "q" in method:
        words += ["--p", _exact(method["p"]), "--q", _exact(method["q"])]
        usual = {name: method["p"] if name == "general" else method["q"] for name in ratios}
    else:
        usual = {}
    if "p" not in method or "select" in method:
        words += ["--select", str(method.get("expression"))]
    for name in ("part", "layers"):
        words += [f"--{name}={method[name]}"] if name in method else []
    for name, ratio in ratios.items():
        words += [] if usual.get(name) == ratio else ["--ratio", f"{name}={_exact(ratio)}"]
    return words


def _exact(ratio: float) -> str:
    # With fewer digits the count of a large matrix may come out one off.
    return repr(float(ratio))


def _base_argument(record: Record) -> str:
    model = record.model
    return _pinned(model.repo_id, model.commit) or _inline(f"path/to/{model.name}")


def _delta_argument(record: Record) -> str:
    delta = (record.applied or {}).get("delta") or {}
    return _pinned(delta.get("repo_id"), delta.get("commit")) or "path/to/the/delta"


def _pinned(repo_id: str | None, commit: str | None) -> str | None:
    return _inline(f"{repo_id}@{commit}" if commit else repo_id) if repo_id else None


def _inline(text: Any) -> str:
    # Untrusted text must stay within its line and its block of code.
    text = ", ".join(text) if isinstance(text, list) else text
    return " ".join(text.replace("`", "'").split())
