"""The command that makes an edit again, as a person would type it."""

import shlex
from collections.abc import Mapping
from typing import Any

from spin_hub.core.rules import DEFAULT_RULE
from spin_hub.kinds import MODEL
from spin_hub.recipe import DEFAULT_SCORE, RULES
from spin_hub.record import Record


def base_argument(record: Record) -> str:
    """The base as an argument: a pinned Hub id, or a placeholder for a local folder."""
    model = record.model
    return _pinned(model.repo_id, model.commit) or _inline(f"path/to/{model.name}")


def delta_argument(record: Record) -> str:
    """The delta that was applied to another model, likewise."""
    delta = (record.applied or {}).get("delta") or {}
    return _pinned(delta.get("repo_id"), delta.get("commit")) or "path/to/the/delta"


def _pinned(repo_id: str | None, commit: str | None) -> str | None:
    return _inline(f"{repo_id}@{commit}" if commit else repo_id) if repo_id else None


def _inline(text: str) -> str:
    """A stranger's text that must stay within its line and its block of code."""
    return " ".join(text.replace("`", "'").split())


def edit_command(record: Record) -> str | None:
    """``spin-hub edit ...`` with every option that decides the outcome; None without the scoring recipe."""
    if record.scoring is None:
        return None
    recipe = record.scoring.recipe
    words = ["spin-hub", "edit", base_argument(record), *_selection(record.method)]
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
    words += ["--max-length", str(recipe.max_length)] if recipe.max_length else []
    words += ["--trust-remote-code"] if recipe.trust_remote_code else []
    words += [] if record.kind == MODEL.name else record.facts.arguments(record.adapter)
    return _inline(shlex.join(words))


def _selection(method: Mapping[str, Any]) -> list[str]:
    words = ["--rule", str(method["rule"])] if method.get("rule", DEFAULT_RULE) != DEFAULT_RULE else []
    ratios: Mapping[str, float] = method.get("ratios", {})
    if "p" in method and "q" in method:
        words += ["--p", _exact(method["p"]), "--q", _exact(method["q"])]
        usual = {name: method["p"] if name == "general" else method["q"] for name in ratios}
    else:
        words += ["--select", str(method.get("expression"))]
        usual = {}
    for name in ("part", "layers"):
        words += [f"--{name}={method[name]}"] if name in method else []
    for name, ratio in ratios.items():
        words += [] if usual.get(name) == ratio else ["--ratio", f"{name}={_exact(ratio)}"]
    return words


def _exact(ratio: float) -> str:
    # With fewer digits the count of a large matrix may come out one off.
    return repr(float(ratio))
