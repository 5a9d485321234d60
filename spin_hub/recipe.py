"""Recipes: the options of an edit, checked once, with everything in them that decides the outcome."""

import datetime
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from spin_hub.core.names import ALL
from spin_hub.core.names import WHOLE as WHOLE
from spin_hub.core.names import Part as Part
from spin_hub.core.rules import DEFAULT_RULE, Rule
from spin_hub.core.rules import RULES as OWN_RULES
from spin_hub.core.selection import PAPER, Expression, parse
from spin_hub.errors import RatioOutOfRange, UnknownSet, UsageError
from spin_hub.plugins import Plugin, Table, registered

Tokenization = Literal["exact", "published"]
Accumulate = Literal["float32", "model"]
DType = Literal["auto", "float64", "float32", "bfloat16", "float16"]
Device = Literal["auto", "cuda", "mps", "cpu"]
EngineName = Literal["auto", "layerwise", "whole"]

PAPER_SETS: Final = ("fairness", "privacy", "general")
DEFAULT_RATIO: Final = 5e-7
DEFAULT_SAMPLES: Final = 128
DEFAULT_KEEP: Final = 1e-4
DEFAULT_SCORE: Final = "taylor"
DEFAULT_SCORE_SENTENCE: Final = (
    "its magnitude times the sum over the examples of the absolute gradient of the loss on the response"
)

# The core looks for no installed packages, so their rules join its own here.
RULES: Final[Table[Rule]] = registered("spin_hub.rules", OWN_RULES)
"""All rules by name, those of installed packages after the library's own."""
_SAID: Final = ("sentence", "chosen", "card")
"""The texts of a package's rule that a record keeps."""


@dataclass(frozen=True)
class ScoringRecipe:
    """The options of scoring.

    Attributes:
        sets: name -> SPEC of every calibration set.
        samples: examples per set; None means 128, or for a built-in set all that it has.
        seed: of the sampling.
        target: ``mlp``, ``self_attn``, ``all``, or a glob pattern of parameter names.
        max_length: tokens after which an example is cut; None means never.
        template_date: day for which the chat template is rendered, such as ``2026-11-28``; None takes the day of the
            first run. Recorded if the template reads it.
        strict_rows: True to refuse rows that cannot become examples, which are otherwise left out and counted; recorded
            if True.
        max_memory: bytes that scoring (on a GPU: of its memory) may take; None takes what is free. It decides nothing
            of the outcome, so it is never recorded.
        resumable: whether layers' inputs are kept on disk for a run that goes on; never recorded either.
        score: the formula of importance, a name in :data:`spin_hub.scoring.scores.SCORES`; recorded unless it is the
            default.

    Raises:
        UsageError: values that are wrong or contradict each other.
    """

    sets: Mapping[str, str] = field(default_factory=lambda: {name: f"builtin:{name}" for name in PAPER_SETS})
    samples: int | None = None
    seed: int = 0
    target: str = "mlp"
    tokenization: Tokenization = "exact"
    accumulate: Accumulate = "float32"
    chat_template: bool = False
    max_length: int | None = None
    template_date: str | None = None
    strict_rows: bool = False
    device: Device = "auto"
    dtype: DType = "auto"
    engine: EngineName = "auto"
    trust_remote_code: bool = False
    max_memory: int | None = None
    resumable: bool = False
    score: str = DEFAULT_SCORE

    def __post_init__(self) -> None:
        if not self.sets:
            raise UsageError(message="Scoring needs at least one calibration set.")
        for name in self.sets:
            if not (name.isascii() and name.isidentifier()):
                raise UsageError(message=f"A set's name must be a word, not {name!r}.")
        for name in ("samples", "max_length", "max_memory"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(message=f"{name} must be at least 1, not {value}.")
        if self.seed < 0:
            raise UsageError(message=f"The seed must not be negative, but is {self.seed}.")
        if self.chat_template and self.tokenization == "published":
            raise UsageError(message="The published tokenization uses no chat template; choose one of the two.")
        check_date(self.template_date, self.chat_template)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError(message=f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}.")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, without what decides nothing of the outcome."""
        entry = {**asdict(self), "sets": dict(self.sets)}
        del entry["max_memory"], entry["resumable"]
        if self.template_date is None:
            del entry["template_date"]
        if not self.strict_rows:
            del entry["strict_rows"]
        if self.score == DEFAULT_SCORE:
            del entry["score"]
        return entry


@dataclass(frozen=True)
class SelectionRecipe:
    """The options of selecting weights from a ranking.

    Attributes:
        rule: a name in :data:`RULES`.
        expression: replaces the rule's set expression, if the rule takes another.
        p, q: the ratio of ``general``, and of every other set.
        ratios: set name -> its own ratio, before p and q.
        seed: of a rule that draws weights.
        part: of the model, in which they are chosen.

    Raises:
        UsageError: values that are wrong or contradict each other.
    """

    rule: str = DEFAULT_RULE
    expression: str | None = None
    p: float = DEFAULT_RATIO
    q: float = DEFAULT_RATIO
    ratios: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    part: Part = WHOLE

    def __post_init__(self) -> None:
        if type(self.seed) is not int:
            raise UsageError(message=f"The seed must be a whole number, not {self.seed!r}.")
        if self.seed < 0:
            raise UsageError(message=f"The seed must not be negative, but is {self.seed}.")
        if self.rule not in RULES:
            raise UsageError(message=f"The rule must be one of {', '.join(RULES)}, not {self.rule!r}.")
        for name, value in (("p", self.p), ("q", self.q), *self.ratios.items()):
            if not 0 < value < 1:
                raise RatioOutOfRange(name=name, value=value)
        if self.expression is not None and not self.entry.takes_expression:
            raise UsageError(
                message=f"--select cannot be combined with --rule {self.rule}, which takes no other set expression."
            )
        if self.entry.one_ratio and (self.p != self.q or self.ratios):
            raise UsageError(message=f"The {self.rule} rule needs p = q: {self.entry.one_ratio}.")
        unknown = [name for name in self.ratios if name not in self.parsed.names]
        if unknown:
            raise UnknownSet(name=unknown[0], known=", ".join(self.names))

    @property
    def entry(self) -> Rule:
        """The rule's entry in :data:`RULES`."""
        return RULES[self.rule]

    @property
    def parsed(self) -> Expression:
        """The set expression: the one given, else the rule's, else the paper's for the names of its sets.

        Raises:
            ExpressionError: it does not parse.
        """
        return parse(self.entry.expression or PAPER if self.expression is None else self.expression)

    @property
    def names(self) -> tuple[str, ...]:
        """The calibration sets that take part."""
        return self.parsed.names

    def ratio(self, name: str) -> float:
        """The ratio of a set: its own, else p for ``general``, else q."""
        return self.ratios.get(name, self.p if name == "general" else self.q)

    @property
    def all_ratios(self) -> dict[str, float]:
        """Every set that takes part with its ratio."""
        return {name: self.ratio(name) for name in self.names}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, as in a delta's ``method``: a rule, or an expression in place of the paper's.

        A rule of a package has its ``plugin``: package and version, and what a card says of it.
        """
        entry: dict[str, Any] = {"ratios": dict(sorted(self.all_ratios.items()))}
        named = self.expression is None or self.rule != DEFAULT_RULE
        if named:
            entry |= {"rule": self.rule, "p": self.p, "q": self.q}
            entry |= {} if self.expression is None else {"select": self.parsed.text}
        if self.expression is not None or self.entry.expression is not None:
            entry["expression"] = self.parsed.text
        if self.entry.draws:
            entry["seed"] = self.seed
        if plugin := RULES.plugin(self.rule):
            said = {name: text for name in _SAID if (text := getattr(self.entry, name))}
            entry["plugin"] = {"package": plugin.package, "version": plugin.version, **said}
        entry |= {} if self.part.target == ALL else {"part": self.part.target}
        entry |= {} if self.part.layers == ALL else {"layers": self.part.layers}
        return dict(sorted(entry.items()))

    @classmethod
    def from_json(cls, method: Mapping[str, Any]) -> "SelectionRecipe":
        """Read the result of :meth:`to_json`, which leaves out the seed of a rule that draws nothing.

        Raises:
            PluginMissing: the rule is that of a package that is not installed.
            KeyError, TypeError, UsageError: the entry has another form.
        """
        part = Part.from_json(method)
        if "rule" not in method:
            return cls(expression=method["expression"], ratios=method["ratios"], part=part)
        if plugin := rule_plugin(method):
            RULES.needed(method["rule"], [plugin])
        rule: dict[str, Any] = {name: method[name] for name in ("rule", "p", "q")}
        usual = cls(**rule, expression=method.get("select"))
        own = {name: ratio for name, ratio in method["ratios"].items() if usual.ratio(name) != ratio}
        return replace(usual, ratios=own, seed=method.get("seed", 0), part=part)


@dataclass(frozen=True)
class Limits:
    """The cost on held-out general text above which an edit is warned of.

    Attributes:
        max_kl: the KL to the base, nats per token.
        max_perplexity_ratio: perplexity after over perplexity before.

    Raises:
        UsageError: a limit that is not positive.
    """

    max_kl: float = 0.05
    max_perplexity_ratio: float = 1.05

    def __post_init__(self) -> None:
        if not (self.max_kl > 0 and self.max_perplexity_ratio > 0):
            raise UsageError(message="The limits --max-kl and --max-perplexity-ratio must be positive.")


@dataclass(frozen=True)
class Destination:
    """The place of an output, with the permission to replace what is there.

    Attributes:
        path: a folder or file; None takes the verb's default name in the working folder.
    """

    path: Path | None = None
    overwrite: bool = False


BY_DEFAULT: Final = Destination()
"""The default name, nothing replaced."""


def check_date(date: str | None, chat_template: bool) -> None:
    """Refuse a date that is not a day such as ``2026-11-28``, or that no chat template reads.

    Raises:
        UsageError: saying which.
    """
    if date is None:
        return
    with suppress(ValueError):
        if datetime.date.fromisoformat(date).isoformat() == date:
            if chat_template:
                return
            raise UsageError(message="--template-date is the date of a chat template: add --chat-template.")
    raise UsageError(message=f"--template-date takes a day such as 2026-11-28, not {date!r}.")


def rule_plugin(method: Mapping[str, Any]) -> Plugin | None:
    """Return the plugin whose rule a recorded ``method`` names; None of the library's own."""
    known = method.get("plugin")
    if known is None:
        return None
    return Plugin(RULES.group, str(method.get("rule")), str(known.get("package")), str(known.get("version")))


def rule_sentence(method: Mapping[str, Any]) -> str:
    """Return the sentence of the rule that a recorded ``method`` names; of a package's rule as it was recorded."""
    name = method.get("rule")
    if name is None:
        return "a set expression in place of the paper's"
    if plugin := rule_plugin(method):
        return (
            f"{said_of(method, 'sentence') or f'the rule {name}'}, from the package {plugin.package} {plugin.version}"
        )
    return said_of(method, "sentence") or "a rule that this version does not know"


def said_of(method: Mapping[str, Any], what: Literal["sentence", "chosen", "card"]) -> str:
    """Return a text of the rule that a recorded ``method`` names, in one line if it was recorded; "" if not known.

    A record keeps the texts of a package's rule, so that its card needs no package.
    """
    if "plugin" in method:
        return " ".join(str(method["plugin"].get(what, "")).split())
    rule = OWN_RULES.get(str(method.get("rule")))
    return getattr(rule, what) if rule else ""


def under_rule(scoring: ScoringRecipe, rule: str, asked: Mapping[str, object]) -> ScoringRecipe:
    """Return the scoring recipe that a rule implies: ``published`` tokenises and accumulates as the released code does.

    Args:
        scoring: the recipe so far.
        rule: the rule's name.
        asked: the values given explicitly for fields that a rule may imply, such as ``tokenization``; None if not.

    Raises:
        UsageError: an explicit option contradicts the rule.
    """
    implied = RULES[rule].implies
    for name, value in implied.items():
        if asked.get(name) not in (None, value):
            raise UsageError(message=f"--rule {rule} implies {name} = {value}, which contradicts {asked[name]}.")
    return replace(scoring, **implied)


_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "tokenization": get_args(Tokenization),
    "accumulate": get_args(Accumulate),
    "device": get_args(Device),
    "dtype": get_args(DType),
    "engine": get_args(EngineName),
}
