"""Recipe files: every option of ``edit`` in TOML, or the record of an earlier edit."""

import datetime
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from spin_hub.artifacts.container import checked
from spin_hub.artifacts.open import read_record
from spin_hub.errors import UsageError
from spin_hub.recipe import SelectionRecipe
from spin_hub.record import Record

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "preset": (str,),
    "privacy": (str,),
    "fairness": (str,),
    "general": (str,),
    "set": (dict,),
    "samples": (int,),
    "seed": (int,),
    "tokenization": (str,),
    "chat_template": (bool,),
    "max_length": (int,),
    "template_date": (str, datetime.date),
    "strict_rows": (bool,),
    "p": (float, int),
    "q": (float, int),
    "rule": (str,),
    "select": (str,),
    "ratio": (dict,),
    "part": (str,),
    "layers": (str, int),
    "target": (str,),
    "score": (str,),
    "accumulate": (str,),
    "device": (str,),
    "dtype": (str,),
    "engine": (str,),
    "max_memory": (str, int),
    "resumable": (bool,),
    "trust_remote_code": (bool,),
    "as": (str,),
    "peft_type": (str,),
    "all_layers": (bool,),
    "output": (str,),
    "overwrite": (bool,),
    "no_eval": (bool,),
    "max_kl": (float, int),
    "max_perplexity_ratio": (float, int),
    "push": (bool,),
    "repo_id": (str,),
    "private": (bool,),
    "create_pr": (bool,),
    "branch": (str,),
    "message": (str,),
    "tag": (str,),
}
"""Option -> what TOML may hold for it; dashes and underscores are the same."""

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "builtin": {},
    "paper": {
        "privacy": "beavertails:privacy-safe",
        "fairness": "beavertails:fairness-safe",
        "general": "alpaca-cleaned:no-safety",
        "samples": 128,
        "p": 5e-7,
        "q": 5e-7,
        "chat_template": False,
    },
}
"""Preset -> options; those that are given explicitly win over it."""


def read_recipe_file(path: Path) -> dict[str, Any]:
    """Read the options in a recipe file: option name, with underscores, to value.

    Args:
        path: a TOML file with the names of ``edit``'s options as keys, ``[set]`` and ``[ratio]`` as tables; or the
            ``spin.json`` of an earlier edit, whose sets of local files must be given again by path.

    Raises:
        UsageError: it cannot be read, or has unknown keys or values of the wrong type.
        CorruptFile, UnsupportedFormat: it is not a record.
    """
    if not path.is_file():
        raise UsageError(message=f"There is no recipe file {path}.")
    if path.suffix == ".json":
        record = read_record(path)
        return checked(path, lambda: _of_record(path, record))
    try:
        entries = tomllib.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UsageError(message=f"The recipe {path} is not valid TOML: {error}.") from error
    options = {key.replace("-", "_"): value for key, value in entries.items()}
    for key, value in options.items():
        _check(path, key, value)
    return {key: value.isoformat() if isinstance(value, datetime.date) else value for key, value in options.items()}


def _check(path: Path, key: str, value: Any) -> None:
    if key not in _TYPES:
        raise UsageError(message=f"The recipe {path} has the unknown key {key!r} (known: {', '.join(_TYPES)}).")
    if not isinstance(value, _TYPES[key]) or (isinstance(value, bool) and bool not in _TYPES[key]):
        wanted = " or ".join(kind.__name__ for kind in _TYPES[key])
        raise UsageError(message=f"The recipe {path} has {key} = {json.dumps(value, default=str)}, not a {wanted}.")


def _of_record(path: Path, record: Record) -> dict[str, Any]:
    if record.scoring is None:
        raise UsageError(message=f"The record {path} came without the recipe of its scores.")
    recipe = record.scoring.recipe
    names = ("samples", "seed", "target", "score", "tokenization", "accumulate", "chat_template", "max_length", "dtype")
    options: dict[str, Any] = {name: getattr(recipe, name) for name in names if getattr(recipe, name) is not None}
    options |= {"strict_rows": True} if recipe.strict_rows else {}
    options |= {"template_date": recipe.template_date} if recipe.template_date else {}
    named = {name: spec for name, spec in recipe.sets.items() if name in ("privacy", "fairness", "general")}
    own = {name: spec for name, spec in recipe.sets.items() if name not in named}
    options |= {
        **named,
        "as": record.kind,
        **{name: value for name, value in record.facts.options(record.adapter or {}).items() if name in _TYPES},
        "trust_remote_code": recipe.trust_remote_code,
    }
    options |= {"set": own} if own else {}
    # The package that brings it, which may be missing here.
    options |= {"recorded_score": dict(record.scoring.score)} if record.scoring.score else {}
    selection = SelectionRecipe.from_json(record.method)
    if selection.expression is None:
        options |= {"rule": selection.rule, "p": selection.p, "q": selection.q}
    else:
        options["select"] = selection.expression
    options |= {"part": selection.part.target, "layers": selection.part.layers}
    return options | ({"ratio": dict(selection.ratios)} if selection.ratios else {})
