"""spin-hub score."""

from typing import Annotated

import typer

from spin_hub.cli import options as o
from spin_hub.recipe import DEFAULT_KEEP, DEFAULT_SCORE


def score(
    model: o.Model,
    privacy: o.Privacy = None,
    fairness: o.Fairness = None,
    general: o.General = None,
    sets: o.Sets = None,
    samples: o.Samples = None,
    seed: o.Seed = 0,
    tokenization: o.TokenizationOption = None,
    chat_template: o.ChatTemplate = False,
    template_date: o.TemplateDate = None,
    max_length: o.MaxLength = None,
    strict_rows: o.StrictRows = False,
    show_examples: o.ShowExamples = 0,
    target: o.Target = "mlp",
    score: o.ScoreOption = DEFAULT_SCORE,
    accumulate: o.AccumulateOption = None,
    device: o.DeviceOption = "auto",
    dtype: o.DTypeOption = "auto",
    engine: o.EngineOption = "auto",
    max_memory: o.MaxMemory = None,
    resumable: o.Resumable = False,
    trust_remote_code: o.TrustRemoteCode = False,
    keep: Annotated[
        float, typer.Option(metavar="R", help="Keep the best weights up to this ratio.", rich_help_panel="Scoring")
    ] = DEFAULT_KEEP,
    output: o.Output = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    help_all: o.HelpAll = False,
) -> None:
    """Score a model and write its ranking, from which select needs no model.

    Examples:

        spin-hub score ./my-model -o ranking.safetensors

        spin-hub score ./my-model --keep 1e-2 --privacy mine.csv --samples 64
    """
    options = dict(locals())

    from spin_hub.cli.console import Screen
    from spin_hub.cli.show import show_tokens
    from spin_hub.workflows.options import check_keep, destination, scoring_recipe

    recipe, place = scoring_recipe(options), destination(options)
    check_keep(keep)
    screen = Screen(as_json, quiet)
    if show_examples and not quiet:
        show_tokens(screen, model, recipe, show_examples)

    from spin_hub.workflows.inspect import inspect
    from spin_hub.workflows.score import score as run

    outcome = run(model, recipe, place, keep, screen.reporter)
    found = inspect(outcome.output, reporter=screen.reporter)
    data = {"output": str(outcome.output), "seconds": round(outcome.seconds, 3), **found.data}
    screen.result(data, outcome.output, lambda: screen.facts("Ranking", found.facts.items()))
