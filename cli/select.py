"""spin-hub select."""

from pathlib import Path
from typing import Annotated

import typer

from spin_hub.cli import options as o
from spin_hub.core.rules import DEFAULT_RULE


def select(
    ranking: Annotated[Path, typer.Argument(help="A ranking that score wrote.")],
    p: o.P = None,
    q: o.Q = None,
    rule: o.RuleOption = DEFAULT_RULE,
    select: o.Select = None,
    ratio: o.Ratios = None,
    part: o.PartOption = "all",
    layers: o.Layers = "all",
    seed: o.Seed = 0,
    base: Annotated[
        str | None, typer.Option(help="The base model, for rules that draw weights.", rich_help_panel="Selection")
    ] = None,
    output: o.Output = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Select weights from a ranking and write a delta; no model is needed.

    Examples:

        spin-hub select ranking.safetensors --p 1e-2 --q 1e-3 -o my-delta

        spin-hub select ranking.safetensors --select "(fairness & privacy) - general" --ratio general=1e-2 --q 1e-3
    """
    options = dict(locals())

    from spin_hub.cli.console import Screen
    from spin_hub.cli.show import show_edit
    from spin_hub.workflows.options import destination, selection_recipe

    recipe, place = selection_recipe(options), destination(options)
    from spin_hub.workflows.select import select as run

    screen = Screen(as_json, quiet)
    outcome = run(ranking, recipe, place, base, screen.reporter)
    screen.result(outcome.to_json(), outcome.output, lambda: show_edit(screen, outcome))
