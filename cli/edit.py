"""spin-hub edit."""

from typing import Annotated

import typer

from spin_hub.cli import options as o
from spin_hub.cli import publishing as pub
from spin_hub.cli.config import merged
from spin_hub.cli.errors import end
from spin_hub.core.rules import DEFAULT_RULE
from spin_hub.kinds import MODEL, kind_of
from spin_hub.recipe import DEFAULT_SCORE, Destination, Limits


def edit(
    context: typer.Context,
    model: o.Model,
    privacy: o.Privacy = None,
    fairness: o.Fairness = None,
    general: o.General = None,
    named_sets: o.NamedSets = None,
    samples: o.Samples = None,
    seed: o.Seed = 0,
    tokenization: o.TokenizationOption = None,
    chat_template: o.ChatTemplate = False,
    max_length: o.MaxLength = None,
    show_examples: o.ShowExamples = 0,
    p: o.P = None,
    q: o.Q = None,
    rule: o.RuleOption = DEFAULT_RULE,
    select: o.Select = None,
    ratio: o.Ratios = None,
    part: o.PartOption = "all",
    layers: o.Layers = "all",
    target: o.Target = "mlp",
    score: o.ScoreOption = DEFAULT_SCORE,
    accumulate: o.AccumulateOption = None,
    device: o.DeviceOption = "auto",
    dtype: o.DTypeOption = "auto",
    engine: o.EngineOption = "auto",
    max_memory: o.MaxMemory = None,
    resumable: o.Resumable = False,
    trust_remote_code: o.TrustRemoteCode = False,
    kind: o.As = MODEL.name,
    peft_type: o.PeftType = None,
    all_layers: o.AllLayers = False,
    output: o.Output = None,
    overwrite: o.Overwrite = False,
    no_eval: o.NoEval = False,
    max_kl: o.MaxKl = 0.05,
    max_perplexity_ratio: o.MaxPerplexityRatio = 1.05,
    preset: o.Preset = "builtin",
    recipe: o.RecipeFile = None,
    plan: o.Plan = False,
    push: pub.Push = False,
    repo_id: pub.RepoId = None,
    private: pub.Private = None,
    create_pr: pub.CreatePr = False,
    branch: pub.Branch = None,
    message: pub.Message = None,
    tag: pub.Tag = None,
    yes: pub.Yes = False,
    no_verify: pub.NoVerify = False,
    force: Annotated[
        bool, typer.Option("--force", help="Push also what is beyond its limits.", rich_help_panel="Hub")
    ] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Score a model, select its coupled weights, set them to zero, measure.

    A SPEC names a calibration set: builtin:NAME, a recipe such as
    beavertails:privacy-safe, a CSV, JSONL or Parquet file with the columns
    prompt and response, or a Hub data set org/name@revision:config/split;
    for other columns add #prompt=COLUMN,response=COLUMN.

    Without --p, --q and --ratio both are found: a grid of edits is tried out,
    and the one taken that gains most within --max-kl and
    --max-perplexity-ratio, if it gains more than random weights do; --yes takes
    it in any case.

    Examples:

        spin-hub edit Qwen/Qwen2-7B-Instruct --push --private

        spin-hub edit ./my-model --p 1e-2 --q 1e-3 -o my-model-spin

        spin-hub edit ./my-model --privacy mine.csv --samples 64 --as delta

        spin-hub edit ./my-model --plan --p 1e-2 --q 1e-3

        spin-hub edit ./my-model --set law=law.jsonl --select "(law & privacy) - general"
    """
    given = {name: value for name, value in locals().items() if name != "context"}
    options = merged(context, given)
    selection = o.selection_recipe(options)
    named = {name: options[name] for name in ("privacy", "fairness", "general")}
    sets = o.calibration_sets(named, options["named_sets"], selection.names, options["preset_sets"])
    scoring = o.scoring_recipe(options, sets, selection.rule)
    limits = None if options["no_eval"] else Limits(options["max_kl"], options["max_perplexity_ratio"])
    destination = Destination(options["output"], options["overwrite"])
    searching = o.searches(options)
    kind_asked = o.kind_of(options["kind"])
    free = ("yes",) if searching or "yes" in kind_of(kind_asked).knows else ()
    pushing = pub.wanted(options, free)

    from spin_hub.cli.console import Screen
    from spin_hub.cli.show import show_edit, show_plan, show_tokens
    from spin_hub.workflows.edit import EditRequest
    from spin_hub.workflows.edit import edit as run
    from spin_hub.workflows.plan import plan as look

    screen = Screen(as_json, quiet)
    if show_examples and not quiet:
        show_tokens(screen, model, scoring, show_examples)
    request = EditRequest(
        model=model,
        scoring=scoring,
        selection=selection,
        kind=kind_asked,
        destination=destination,
        limits=limits,
        push=pushing,
        force=options["force"],
        search=searching,
        anyway=options["yes"],
        peft_type=options["peft_type"],
        all_layers=options["all_layers"],
    )
    if plan:
        found = look(request, screen.reporter)
        screen.result(found.to_json(), found.output, lambda: show_plan(screen, found))
        return
    outcome = run(request, screen.reporter)
    screen.result(outcome.to_json(), outcome.place, lambda: show_edit(screen, outcome))
    screen.warn(outcome.warnings)
    end(outcome.verification)
