"""spin-hub edit."""

from typing import TYPE_CHECKING, Annotated

import typer

from spin_hub.cli import options as o
from spin_hub.cli.errors import end
from spin_hub.core.rules import DEFAULT_RULE
from spin_hub.kinds import MODEL
from spin_hub.recipe import DEFAULT_SCORE

if TYPE_CHECKING:
    from spin_hub.cli.console import Screen
    from spin_hub.workflows.plan import Plan


def edit(
    context: typer.Context,
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
    as_: o.As = MODEL.name,
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
    push: o.Push = False,
    repo_id: o.RepoId = None,
    private: o.Private = None,
    create_pr: o.CreatePr = False,
    branch: o.Branch = None,
    message: o.Message = None,
    tag: o.Tag = None,
    yes: o.Yes = False,
    no_verify: o.NoVerify = False,
    force: Annotated[
        bool, typer.Option("--force", help="Push also what is beyond its limits.", rich_help_panel="Hub")
    ] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    help_all: o.HelpAll = False,
) -> None:
    """Score a model, select its coupled weights, set them to zero, measure.

    A SPEC names a calibration set: builtin:NAME, a recipe such as
    beavertails:privacy-safe, a file or folder of CSV, JSON or Parquet, or a
    Hub data set org/name@revision:config/split. Known forms of rows are in the
    README; for other columns add #prompt=COLUMN+COLUMN,response=COLUMN.

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
    options = dict(locals())
    # Flags win over the recipe file, which wins over defaults.
    given = [name for name in options if str(context.get_parameter_source(name)).endswith("COMMANDLINE")]

    from spin_hub.cli.console import Screen
    from spin_hub.cli.show import show_edit, show_tokens
    from spin_hub.workflows.requests import edit_request

    screen, request = Screen(as_json, quiet), edit_request(model, options, given)
    if show_examples and not quiet:
        show_tokens(screen, model, request.scoring, show_examples)
    if plan:
        from spin_hub.workflows.plan import plan as look

        found = look(request, screen.reporter)
        screen.result(found.to_json(), found.output, lambda: _show_plan(screen, found))
        return
    from spin_hub.workflows.edit import edit as run

    outcome = run(request, screen.reporter)
    screen.result(outcome.to_json(), outcome.place, lambda: show_edit(screen, outcome))
    screen.warn(outcome.warnings)
    end(outcome.verification)


def _show_plan(screen: "Screen", plan: "Plan") -> None:
    names = list(plan.matrices[0].counts)
    screen.table(
        ("matrices", "shape", *(f"top {name}" for name in names)),
        [
            (str(entry.matrices), " x ".join(map(str, entry.shape)), *(f"{entry.counts[name]:,}" for name in names))
            for entry in plan.matrices
        ],
    )
    screen.line("")
    screen.table(
        ("set", "source", "licence", "examples", "tokens", "count"),
        [(s.name, s.source, s.licence, str(s.examples), f"{s.tokens:,}", f"{s.counted:,}") for s in plan.sets],
    )
    screen.line("")
    screen.facts("", plan.facts)
    screen.line("\nNothing was scored or written.")
