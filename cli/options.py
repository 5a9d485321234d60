"""Options that several commands share, and the help of commands."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperOption

from spin_hub.errors import PluginFailed
from spin_hub.recipe import Accumulate, Device, DType, EngineName, Tokenization

_SETS, _RULE, _SCORE, _OUT = "Calibration", "Selection", "Scoring", "Output"
_EVAL, _RECIPE, _ADAPTER, _HUB = "Evidence", "Recipe", "Adapter", "Hub"

_ALL = "spin_hub.help_all"


def _help_all(context: typer.Context, asked: bool) -> None:
    if asked:
        context.meta[_ALL] = True
        context.get_help()
        raise typer.Exit


HelpAll = Annotated[
    bool,
    typer.Option(
        "--help-all", is_eager=True, callback=_help_all, help="Show all options and exit.", rich_help_panel=_OUT
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object.", rich_help_panel=_OUT)]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only the output's path.", rich_help_panel=_OUT)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.", rich_help_panel=_OUT)]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write.", rich_help_panel=_OUT)]

# Their tables complete the help of --as, --rule and --score; see Command.
As = Annotated[str, typer.Option("--as", metavar="KIND", rich_help_panel=_OUT)]
PeftType = Annotated[
    Literal["supertuning", "shira"] | None,
    typer.Option(help="Default: supertuning; shira is for PEFT before 0.21.", rich_help_panel=_ADAPTER),
]
AllLayers = Annotated[
    bool, typer.Option("--all-layers", help="A LoRA with zeros in untouched layers.", rich_help_panel=_ADAPTER)
]

Model = Annotated[str, typer.Argument(help="A folder, or a Hub id: org/name or org/name@revision.")]

FirstDelta = Annotated[str, typer.Argument(metavar="A", help="A delta or an edited model: a path, or a Hub id.")]
SecondDelta = Annotated[str, typer.Argument(metavar="B", help="Another, of the same base.")]

Privacy = Annotated[str | None, typer.Option(help="SPEC of the set privacy.", rich_help_panel=_SETS)]
Fairness = Annotated[str | None, typer.Option(help="SPEC of the set fairness.", rich_help_panel=_SETS)]
General = Annotated[str | None, typer.Option(help="SPEC of the set general.", rich_help_panel=_SETS)]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=SPEC", help="A set of your own; may be repeated.", rich_help_panel=_SETS),
]
Samples = Annotated[
    int | None,
    typer.Option(help="Examples per set. Default: 128, or all of a built-in set.", rich_help_panel=_SETS),
]
Seed = Annotated[int, typer.Option(help="Seed of the sampling, and of rules that draw weights.", rich_help_panel=_SETS)]
ChatTemplate = Annotated[
    bool, typer.Option("--chat-template", help="Render prompts with the chat template.", rich_help_panel=_SETS)
]
TemplateDate = Annotated[
    str | None,
    typer.Option(
        metavar="YYYY-MM-DD", help="Day for a chat template that reads the date. Default: today.", rich_help_panel=_SETS
    ),
]
MaxLength = Annotated[int | None, typer.Option(help="Cut examples after this many tokens.", rich_help_panel=_SETS)]
StrictRows = Annotated[
    bool, typer.Option("--strict-rows", help="Refuse rows that give no example.", rich_help_panel=_SETS)
]
TokenizationOption = Annotated[
    Tokenization | None,
    typer.Option("--tokenization", help="How texts become tokens. Default: exact.", rich_help_panel=_SETS),
]
ShowExamples = Annotated[
    int,
    typer.Option(metavar="N", help="Print how N examples of each set reach the model.", rich_help_panel=_SETS),
]

P = Annotated[float | None, typer.Option("--p", help="The ratio of general.", rich_help_panel=_RULE)]
Q = Annotated[float | None, typer.Option("--q", help="The ratio of every other set.", rich_help_panel=_RULE)]
RuleOption = Annotated[str, typer.Option("--rule", metavar="NAME", rich_help_panel=_RULE)]
Rules = Annotated[list[str] | None, typer.Option("--rule", metavar="NAME", rich_help_panel="Grid")]
ScoreOption = Annotated[str, typer.Option("--score", metavar="NAME", rich_help_panel=_SCORE)]
Select = Annotated[
    str | None,
    typer.Option("--select", metavar="EXPR", help="A set expression instead of the paper's.", rich_help_panel=_RULE),
]
Ratios = Annotated[
    list[str] | None,
    typer.Option("--ratio", metavar="NAME=R", help="A set's own ratio; may be repeated.", rich_help_panel=_RULE),
]

PartOption = Annotated[
    str, typer.Option("--part", help="Choose in mlp, self_attn or a pattern alone.", rich_help_panel=_RULE)
]
Layers = Annotated[
    str, typer.Option("--layers", metavar="N|N-M", help="Choose in these layers alone.", rich_help_panel=_RULE)
]

Target = Annotated[
    str, typer.Option(help="mlp, self_attn, all, or a pattern of parameter names.", rich_help_panel=_SCORE)
]
AccumulateOption = Annotated[
    Accumulate | None,
    typer.Option("--accumulate", help="Precision of the sums. Default: float32.", rich_help_panel=_SCORE),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where the model runs.", rich_help_panel=_SCORE)]
DTypeOption = Annotated[DType, typer.Option("--dtype", help="auto: the checkpoint's.", rich_help_panel=_SCORE)]
EngineOption = Annotated[EngineName, typer.Option("--engine", help="How gradients are taken.", rich_help_panel=_SCORE)]
MaxMemory = Annotated[
    str | None,
    typer.Option("--max-memory", metavar="8GiB", help="Memory that scoring may take.", rich_help_panel=_SCORE),
]
Resumable = Annotated[
    bool, typer.Option("--resumable", help="Keep passes on disk for going on.", rich_help_panel=_SCORE)
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the model's own code.", rich_help_panel=_SCORE)
]

NoEval = Annotated[bool, typer.Option("--no-eval", help="Measure nothing afterwards.", rich_help_panel=_EVAL)]
MaxKl = Annotated[
    float, typer.Option("--max-kl", help="Warn beyond this KL to the base, nats per token.", rich_help_panel=_EVAL)
]
MaxPerplexityRatio = Annotated[
    float,
    typer.Option("--max-perplexity-ratio", help="Warn beyond this ratio of perplexities.", rich_help_panel=_EVAL),
]
Preset = Annotated[str, typer.Option(help="builtin, or paper: the paper's data and ratios.", rich_help_panel=_RECIPE)]
RecipeFile = Annotated[
    Path | None,
    typer.Option("--recipe", help="Options from a TOML file or a spin.json; flags win.", rich_help_panel=_RECIPE),
]
Plan = Annotated[bool, typer.Option("--plan", help="Say what it would take, and stop.", rich_help_panel=_RECIPE)]

Push = Annotated[bool, typer.Option("--push", help="Publish the result on the Hub.", rich_help_panel=_HUB)]
RepoId = Annotated[
    str | None,
    typer.Option("--repo-id", metavar="OWNER/NAME", help="Default: you/BASE-spin.", rich_help_panel=_HUB),
]
Private = Annotated[
    bool | None,
    typer.Option("--private/--public", help="Of a new repo. A closed base makes it private.", rich_help_panel=_HUB),
]
CreatePr = Annotated[bool, typer.Option("--create-pr", help="Open a pull request.", rich_help_panel=_HUB)]
Branch = Annotated[str | None, typer.Option("--branch", help="Commit to this branch.", rich_help_panel=_HUB)]
Message = Annotated[str | None, typer.Option("--message", help="The commit's message.", rich_help_panel=_HUB)]
Tag = Annotated[str | None, typer.Option("--tag", help="Name the commit.", rich_help_panel=_HUB)]
Yes = Annotated[bool, typer.Option("--yes", help="Push into a repo that spin-hub did not make.", rich_help_panel=_HUB)]
NoVerify = Annotated[bool, typer.Option("--no-verify", help="Do not look at what was pushed.", rich_help_panel=_HUB)]


class Command(TyperCommand):
    """A command whose help lists the entries of tables, and at first the options alone that most users need.

    The tables are read for the help alone.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        self.complete()
        options = [parameter for parameter in self.params if isinstance(parameter, TyperOption)]
        kept = [(option, option.hidden, option.rich_help_panel) for option in options]
        first = () if ctx.meta.get(_ALL) else _FIRST.get(self.name or "", ())
        try:
            for option in options if first else ():
                option.hidden, option.rich_help_panel = option.name not in (*first, "help_all"), None
            super().format_help(ctx, formatter)
        finally:
            for option, hidden, panel in kept:
                option.hidden, option.rich_help_panel = hidden, panel

    def complete(self) -> None:
        """Put the entries of the tables into the help of the options that name them."""
        for parameter in self.params:
            if isinstance(parameter, TyperOption) and parameter.name in _LISTED:
                parameter.help = _LISTED[parameter.name](self.name or "")


def _kinds(verb: str) -> str:
    from spin_hub.kinds import KINDS, exported, helped

    if verb == "push":
        return "delta: of an edited model or an adapter, the delta alone."
    return helped(exported() if verb == "export" else KINDS)


def _sentences(what: str, table: Mapping[str, Any]) -> str:
    entries = []
    for name in table:
        try:
            entries.append(f"{name}: {table[name].sentence}")
        except PluginFailed:
            # It fails when it is asked for.
            entries.append(name)
    return f"{what}. {'; '.join(entries)}."


def _rules(_: str) -> str:
    from spin_hub.recipe import RULES

    return _sentences("Selection of weights", RULES)


def _scores(_: str) -> str:
    from spin_hub.scoring.scores import SCORES

    return _sentences("Importance of a weight for a set of examples", SCORES)


def _suites(_: str) -> str:
    from spin_hub.metrics.base import suites, usable

    metrics = "; ".join(f"{name}: {metric.help}" for name, metric in usable().items())
    return f"Suites ({', '.join(suites())}) or metrics, with commas between several. {metrics}."


_FIRST = {
    "edit": ("p", "q", "privacy", "fairness", "samples", "chat_template", "as_", "output", "push", "plan"),
    "score": (
        "privacy",
        "fairness",
        "general",
        "samples",
        "chat_template",
        "keep",
        "max_memory",
        "resumable",
        "output",
    ),
    "sweep": ("base", "p", "q", "pick", "privacy", "fairness", "samples", "max_kl", "output"),
    "eval": ("delta", "against", "suite", "judge", "limit", "chat_template", "answers", "no_record"),
}
"""Verb with many options -> those that its help begins with."""

_LISTED: Mapping[str, Callable[[str], str]] = {"as_": _kinds, "rule": _rules, "score": _scores, "suite": _suites}
"""Parameter -> its help for a verb."""
