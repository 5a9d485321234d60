"""Flags, recipe file, preset and defaults, in this order, as one set of options."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import typer

from spin_hub.errors import UsageError
from spin_hub.recipe import PAPER_SETS

_CALLED: Final = {"set": "named_sets", "as": "kind"}
"""Options whose parameters have another name, because theirs are words of Python."""


def merged(context: typer.Context, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a command line with what its --recipe and --preset add; explicit flags win.

    Args:
        context: knows which options were given.
        options: parameter -> value, defaults included.

    Raises:
        UsageError: the recipe file is not usable, or the preset is unknown.
    """
    from spin_hub.artifacts.recipe_file import PRESETS, read_recipe_file

    given = {name for name in options if _explicit(context, name)}
    recipe = _as_parameters(read_recipe_file(Path(options["recipe"])) if options["recipe"] else {})
    preset = options["preset"] if "preset" in given else recipe.get("preset", options["preset"])
    if preset not in PRESETS:
        raise UsageError(message=f"The preset must be one of {', '.join(PRESETS)}, not {preset!r}.")
    settled = PRESETS[preset]
    sets = {name: spec for name, spec in settled.items() if name in PAPER_SETS}
    below = {**{name: value for name, value in settled.items() if name not in sets}, **recipe}
    found = {name: value if name in given else below.get(name, value) for name, value in options.items()}
    return {**found, "preset_sets": sets}


def _explicit(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _as_parameters(recipe: Mapping[str, Any]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for name, value in recipe.items():
        if isinstance(value, dict):
            value = [f"{key}={item}" for key, item in value.items()]
        parameters[_CALLED.get(name, name)] = Path(value) if name == "output" else value
    return parameters
