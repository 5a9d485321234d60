"""spin-hub sweep."""

from typing import Annotated

import typer

from spin_hub.cli import options as o
from spin_hub.core.rules import DEFAULT_RULE
from spin_hub.recipe import DEFAULT_SCORE, Limits

_GRID = "Grid"

Ps = Annotated[
    list[float] | None, typer.Option("--p", help="A ratio of general; may be repeated.", rich_help_panel=_GRID)
]
Qs = Annotated[
    list[float] | None, typer.Option("--q", help="A ratio of the other sets; may be repeated.", rich_help_panel=_GRID)
]
Parts = Annotated[
    list[str] | None,
    typer.Option("--part", help="mlp, self_attn, or a pattern of parameters; may be repeated.", rich_help_panel=_GRID),
]
Layers = Annotated[
    list[str] | None, typer.Option("--layers", help="7 or 4-11; may be repeated.", rich_help_panel=_GRID)
]


def sweep(
    model: Annotated[str, typer.Argument(help="A model (a folder or Hub id), or a ranking that score wrote.")],
    base: Annotated[str | None, typer.Option(help="Of a ranking, the model.", rich_help_panel=_GRID)] = None,
    p: Ps = None,
    q: Qs = None,
    rule: o.Rules = None,
    select: o.Select = None,
    part: Parts = None,
    layers: Layers = None,
    pick: Annotated[
        str | None,
        typer.Option(metavar="best|knee|ROW", help="Write the delta of this edit.", rich_help_panel=_GRID),
    ] = None,
    keep: Annotated[
        float | None, typer.Option(metavar="R", help="Score up to this ratio.", rich_help_panel="Scoring")
    ] = None,
    privacy: o.Privacy = None,
    fairness: o.Fairness = None,
    general: o.General = None,
    named_sets: o.NamedSets = None,
    samples: o.Samples = None,
    seed: o.Seed = 0,
    tokenization: o.TokenizationOption = None,
    chat_template: o.ChatTemplate = False,
    max_length: o.MaxLength = None,
    target: o.Target = "mlp",
    score: o.ScoreOption = DEFAULT_SCORE,
    accumulate: o.AccumulateOption = None,
    device: o.DeviceOption = "auto",
    dtype: o.DTypeOption = "auto",
    engine: o.EngineOption = "auto",
    max_memory: o.MaxMemory = None,
    resumable: o.Resumable = False,
    trust_remote_code: o.TrustRemoteCode = False,
    max_kl: o.MaxKl = 0.05,
    max_perplexity_ratio: o.MaxPerplexityRatio = 1.05,
    output: o.Output = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Try many edits out, and show what each costs and gains.

    Each is switched on in memory, measured, and switched off. The same command
    goes on with a sweep that was broken off.

    Examples:

        spin-hub sweep ./my-model

        spin-hub sweep ranking.safetensors --base ./my-model --q 1e-3 --q 1e-2 --p 5e-2

        spin-hub sweep ./my-model --layers 0-9 --layers 10-19 --pick best
    """
    options = dict(locals())
    sets = o.calibration_sets({"privacy": privacy, "fairness": fairness, "general": general}, named_sets, None)
    scoring = o.scoring_recipe(options, sets)
    limits = Limits(max_kl, max_perplexity_ratio)

    from spin_hub.cli.console import Screen
    from spin_hub.cli.show import show_sweep
    from spin_hub.recipe import Destination
    from spin_hub.workflows.sweep import SweepRequest
    from spin_hub.workflows.sweep import sweep as run

    screen = Screen(as_json, quiet)
    request = SweepRequest(
        model=model,
        base=base,
        scoring=scoring,
        ps=tuple(p or ()),
        qs=tuple(q or ()),
        rules=tuple(rule or (DEFAULT_RULE,)),
        expression=select,
        targets=tuple(part or ("all",)),
        layers=tuple(layers or ("all",)),
        limits=limits,
        pick=pick,
        keep=keep,
        destination=Destination(output, overwrite),
    )
    outcome = run(request, screen.reporter)
    data = outcome.to_json()
    screen.result(data, outcome.delta.output if outcome.delta else outcome.output, lambda: show_sweep(screen, data))
