"""Options that several commands share, and the recipes that they make."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer
from typer.core import TyperCommand, TyperOption

from spin_hub.core.rules import DEFAULT_RULE
from spin_hub.errors import PluginFailed, UnknownSet, UsageError
from spin_hub.kinds import DELTA, KINDS, MODEL, helped
from spin_hub.recipe import (
    DEFAULT_RATIO,
    PAPER_SETS,
    RULES,
    Accumulate,
    Device,
    DType,
    EngineName,
    Part,
    ScoringRecipe,
    SelectionRecipe,
    Tokenization,
    under_rule,
)
from spin_hub.scoring.scores import SCORES, score_named

_SETS, _RULE, _SCORE, _OUT = "Calibration", "Selection", "Scoring", "Output"
_EVAL, _RECIPE, _ADAPTER = "Evidence", "Recipe", "Adapter"

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object.", rich_help_panel=_OUT)]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only the output's path.", rich_help_panel=_OUT)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.", rich_help_panel=_OUT)]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write.", rich_help_panel=_OUT)]

# The values of --as are those of the table; a type checker sees words.
_EXPORTED = tuple(name for name in KINDS if name not in (MODEL.name, DELTA.name))
if TYPE_CHECKING:
    KindName: TypeAlias = str
    ExportName: TypeAlias = str
else:
    KindName, ExportName = Literal[tuple(KINDS)], Literal[_EXPORTED]
As = Annotated[KindName, typer.Option("--as", help=helped(KINDS), rich_help_panel=_OUT)]
AsExport = Annotated[ExportName, typer.Option("--as", help=helped(_EXPORTED), rich_help_panel=_ADAPTER)]
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
NamedSets = Annotated[
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
MaxLength = Annotated[int | None, typer.Option(help="Cut examples after this many tokens.", rich_help_panel=_SETS)]
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
# Their tables complete the help of these; see TableCommand.
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


class TableCommand(TyperCommand):
    """A command whose ``--rule`` and ``--score`` list the entries of their tables in its help."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters; the tables are read only once those of this command are needed."""
        params = super().get_params(ctx)
        for parameter in params:
            if parameter.name in _LISTED and isinstance(parameter, TyperOption):
                parameter.help = _listed(parameter.name)
        return params


def _listed(name: str) -> str:
    what, table = _LISTED[name]
    entries = []
    for entry in table:
        try:
            entries.append(f"{entry}: {table[entry].sentence}")
        except PluginFailed:
            # It fails when it is asked for.
            entries.append(entry)
    return f"{what}. {'; '.join(entries)}."


def calibration_sets(
    named: Mapping[str, str | None],
    own: Sequence[str] | None,
    needed: Sequence[str] | None,
    usual: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """The sets to score: the three of the paper unless an expression needs others, with what was given for each.

    Args:
        named: what --privacy, --fairness and --general say.
        own: what --set says.
        needed: the names that the selection reads; None where everything given is wanted.
        usual: what a preset takes instead of the built-in sets.

    Raises:
        UsageError: a set is malformed, given twice, or not read by the selection.
        UnknownSet: the selection reads a set that is not given.
    """
    given = {name: spec for name, spec in named.items() if spec is not None}
    for name, spec in pairs(own, "--set").items():
        if name in given:
            raise UsageError(message=f"The set {name!r} is given twice.")
        given[name] = spec
    sets = {**{name: f"builtin:{name}" for name in PAPER_SETS}, **usual, **given}
    if needed is None:
        return given if own and not set(given) & set(PAPER_SETS) else sets
    unread = [name for name in given if name not in needed]
    if unread:
        raise UsageError(message=f"The set {unread[0]!r} is given, but the selection does not read it.")
    for name in needed:
        if name not in sets:
            raise UnknownSet(name=name, known=", ".join(sets))
    return {name: sets[name] for name in needed}


def selection_recipe(options: Mapping[str, Any]) -> SelectionRecipe:
    """The selection recipe of --rule, --select, --p, --q, --ratio, --seed, --part and --layers.

    Raises:
        UsageError: values that are wrong or contradict each other.
    """
    ratios = {}
    for name, text in pairs(options["ratio"], "--ratio").items():
        try:
            ratios[name] = float(text)
        except ValueError:
            raise UsageError(message=f"--ratio {name}={text}: {text!r} is not a number.") from None
    recipe = SelectionRecipe(
        rule=options["rule"],
        expression=options["select"],
        p=DEFAULT_RATIO if options["p"] is None else options["p"],
        q=DEFAULT_RATIO if options["q"] is None else options["q"],
        ratios=ratios,
        seed=options["seed"],
        part=Part(options["part"], str(options["layers"])),
    )
    alone = (options["p"] is None) != (options["q"] is None)
    # The other one would be the paper's tiny ratio, and a q without a p of its size takes out general ability.
    if alone and not ratios and "general" in recipe.names and len(recipe.names) > 1:
        missing = "--p" if options["p"] is None else "--q"
        raise UsageError(message=f"{missing} is missing: give both --p and --q, or neither.")
    return recipe


def searches(options: Mapping[str, Any]) -> bool:
    """Whether p and q are to be found: none of the ratios is given, and the rule leaves them open."""
    given = [name for name in ("p", "q", "ratio") if options[name] not in (None, [], ())]
    return not given and RULES[options["rule"]].searchable


def scoring_recipe(options: Mapping[str, Any], sets: Mapping[str, str], rule: str = DEFAULT_RULE) -> ScoringRecipe:
    """The scoring recipe of a command's options.

    Raises:
        UsageError: values that are wrong or contradict each other.
    """
    score_named(options["score"])
    asked = {
        "tokenization": options["tokenization"],
        "accumulate": options["accumulate"],
        "chat_template": options["chat_template"] or None,
    }
    recipe = ScoringRecipe(
        sets=dict(sets),
        tokenization=asked["tokenization"] or "exact",
        accumulate=asked["accumulate"] or "float32",
        max_memory=bytes_of(options["max_memory"]),
        resumable=options["resumable"],
        **{name: options[name] for name in _SAME},
    )
    return under_rule(recipe, rule, asked)


def bytes_of(text: str | None) -> int | None:
    """A size such as ``8GiB``, ``500 MB`` or ``123456`` in bytes.

    Raises:
        UsageError: it is no size.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", str(text).lower())
    if not found:
        raise UsageError(message=f"--max-memory must be a size such as 8GiB or 500MB, not {text!r}.")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** " kmgt".index(found[2] or " "))


def kind_of(value: str) -> str:
    """Return the value of --as, which a recipe file may give too.

    Raises:
        UsageError: it is not a known kind.
    """
    if value not in KINDS:
        raise UsageError(message=f"--as must be one of {', '.join(KINDS)}, not {value!r}.")
    return value


def pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    """What an option that takes NAME=VALUE and may be repeated gives.

    Raises:
        UsageError: a value of another form, or a name that stands twice.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(message=f"{option} takes NAME=VALUE, not {text!r}.")
        if name in found:
            raise UsageError(message=f"{option} gives {name!r} twice.")
        found[name] = value
    return found


_SAME = (
    "samples",
    "seed",
    "target",
    "chat_template",
    "max_length",
    "device",
    "dtype",
    "engine",
    "score",
    "trust_remote_code",
)

_LISTED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "rule": ("Selection of weights", RULES),
    "score": ("Importance of a weight for a set of examples", SCORES),
}
"""Parameter -> the beginning of its help, and its table."""
